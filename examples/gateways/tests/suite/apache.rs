//! Apache with mod_oauth2: it introspects, with a cache, and hands on its own refusals. So it is not in the tables of the
//! gateways that ask for a check each time; here is what holds for it.

use crate::world::{INVOICES, World};
use gateways::Ask;
use std::time::Duration;
use tokenward_testkit::{NewClient, wait_until};

/// Longer than the recipe's cache of a second, on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn apache_lets_through_what_is_good_for_its_product_only() {
    let mut world = World::start(&gateways::gateway::APACHE);
    let api = world.api.clone();
    world.wait(api.product("gst", "GST"));
    let erp = world.client(NewClient::production);
    let good = world.generate(&erp);
    let ask = |world: &World, token: &str| world.ask(&Ask::get(INVOICES).token(token)).status;

    let forged = Ask::get(INVOICES)
        .token(&good)
        .header("X-Tokenward-Client", "forged")
        .header("X_Tokenward_Client", "forged")
        .header("X-Tokenward-Valid-Till", "forged")
        .header("OAUTH2_CLAIM_client_id", "forged");
    assert_eq!(world.ask(&forged).status, 200, "{}", world.gateway.output());
    let seen = world.reached();
    assert!(!format!("{seen:?}").contains("forged"), "{seen:?}");
    assert_eq!(seen.all("x-tokenward-product"), ["e-invoice"]);
    assert_eq!(seen.all("x-tokenward-environment"), ["production"]);
    assert_eq!(seen.all("x-tokenward-client").len(), 1);
    let bearer = Ask::get(INVOICES).header("Authorization", &format!("Bearer {good}"));
    assert_eq!(world.ask(&bearer).status, 200);
    world.forget();

    let sandbox = world.client(NewClient::sandbox);
    let gst = world.client(|label| NewClient::production(label).products(&["gst"]));
    let fenced = world.client(|label| NewClient::production(label).token_networks(&["10.0.0.0/8"]));
    for client in [&sandbox, &gst, &fenced] {
        let token = world.generate(client);
        assert_eq!(ask(&world, &token), 401);
    }
    assert_eq!(ask(&world, "x"), 401);
    assert_eq!(world.ask(&Ask::get(INVOICES)).status, 401);
    world.untouched();

    // Revocation is as late as the cache, and no later.
    world.wait(api.revoke(&erp.id)).expect(200);
    wait_until("the cache to end", LIMIT, || ask(&world, &good) == 401);
}
