//! The recipes for gateways of Kubernetes: whether they fit the published definitions, refuse without an answer and state what
//! they serve. No gateway runs them here; for Envoy Gateway's own kinds no package holds the definitions.

use crate::helm::{documents, judge_other_kinds, object};
use serde_json::{Value, json};
use tokenward_testkit::assert_contains;

/// What a permit tells the product. Over HTTP a gateway copies these.
const IDENTITY: [&str; 7] = [
    "x-tokenward-client",
    "x-tokenward-client-label",
    "x-tokenward-environment",
    "x-tokenward-generation",
    "x-tokenward-product",
    "x-tokenward-valid-till",
    "x-tokenward-workspace",
];

/// Names that a product may take for those. The recipe of Envoy, which the suite runs, removes the same.
const FORGED: &str = "x[^a-z0-9]tokenward.*";

fn recipe(name: &str) -> Vec<Value> {
    documents(&format!("../examples/gateways/kubernetes/{name}.yaml"))
}

/// Which namespaces' objects of a kind may refer to Tokenward's internal Service.
fn is_granted(objects: &[Value], kind: &str, namespace: &Value) -> bool {
    let grants = objects.iter().filter(|object| {
        object["kind"] == "ReferenceGrant" && object["metadata"]["namespace"] == "tokenward"
    });
    grants.into_iter().any(|grant| {
        let to = json!([{ "group": "", "kind": "Service", "name": "tokenward-internal" }]);
        let from = grant["spec"]["from"].as_array().unwrap();
        let is_named = |from: &Value| from["kind"] == kind && from["namespace"] == *namespace;
        grant["spec"]["to"] == to && from.iter().any(is_named)
    })
}

/// The chart's internal Service, as a gateway names it.
fn internal_service() -> Value {
    json!({ "name": "tokenward-internal", "namespace": "tokenward", "port": 8081 })
}

#[test]
fn kubernetes_recipes_fit_the_published_definitions() {
    for name in ["gateway-api", "istio"] {
        let objects = recipe(name);
        assert_eq!(
            judge_other_kinds(&objects.iter().collect::<Vec<_>>()),
            "",
            "{name}"
        );
    }
    let objects = recipe("envoy-gateway");
    let is_described = |object: &&Value| object["apiVersion"] != "gateway.envoyproxy.io/v1alpha1";
    let described: Vec<&Value> = objects.iter().filter(is_described).collect();
    assert_eq!(described.len(), 2);
    assert_eq!(judge_other_kinds(&described), "");
}

#[test]
fn definitions_refuse_what_they_do_not_know() {
    let objects = recipe("gateway-api");
    let route = object(&objects, "HTTPRoute", "e-invoice");
    let wrong = |pointer: &str, value: Value| {
        let mut changed = route.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        judge_other_kinds(&[&changed])
    };
    let filter = "/spec/rules/0/filters/0";
    let protocol = wrong(&format!("{filter}/externalAuth/protocol"), json!("TCP"));
    assert!(protocol.contains("externalAuth/protocol"), "{protocol}");
    let unknown = wrong(
        &format!("{filter}/externalAuth/http"),
        json!({ "pathPrefix": "/check" }),
    );
    assert_contains(&unknown, "'\"pathPrefix\"' does not exist");
    let kind = wrong(&format!("{filter}/type"), json!("ExtAuth"));
    assert!(kind.contains("filters/0/type"), "{kind}");
}

#[test]
fn gateway_api_route_states_what_it_serves() {
    let objects = recipe("gateway-api");
    let route = object(&objects, "HTTPRoute", "e-invoice");
    for rule in route["spec"]["rules"].as_array().unwrap() {
        // Another filter could change the headers after the check.
        let filters = rule["filters"].as_array().unwrap();
        assert_eq!(filters.len(), 1);
        let asks = &filters[0]["externalAuth"];
        assert_eq!(asks["backendRef"], internal_service());
        assert_eq!(asks["http"]["path"], "/check/production/e-invoice");
        assert_eq!(asks["http"]["allowedResponseHeaders"], json!(IDENTITY));
        assert_eq!(
            asks["http"]["allowedHeaders"],
            json!(["x-cleartax-auth-token", "x-forwarded-for"])
        );
    }
    assert!(is_granted(
        &objects,
        "HTTPRoute",
        &route["metadata"]["namespace"]
    ));
}

#[test]
fn recipe_of_envoy_removes_the_same_names() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/gateways/envoy/http.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(&format!("regex: \"{FORGED}\"")), "{text}");
}

#[test]
fn envoy_gateway_policies_fail_closed_and_state_what_they_serve() {
    let objects = recipe("envoy-gateway");
    for name in ["e-invoice", "gst"] {
        let policy = object(&objects, "SecurityPolicy", name);
        let asks = &policy["spec"]["extAuth"];
        assert_eq!(asks["failOpen"], json!(false), "{name}");
        assert_eq!(asks["timeout"], "1s", "{name}");
        assert_eq!(asks["recomputeRoute"], json!(false), "{name}");
        assert!(is_granted(
            &objects,
            "SecurityPolicy",
            &policy["metadata"]["namespace"]
        ));
        let backends = json!([internal_service()]);
        if asks["grpc"].is_object() {
            assert_eq!(asks["grpc"]["backendRefs"], backends, "{name}");
            let stated = json!([
                { "name": "environment", "type": "Value", "value": "production" },
                { "name": "product", "type": "Value", "value": name },
            ]);
            assert_eq!(asks["contextExtensions"], stated, "{name}");
        } else {
            assert_eq!(asks["http"]["backendRefs"], backends, "{name}");
            assert_eq!(asks["http"]["path"], format!("/check/production/{name}"));
            assert_eq!(asks["http"]["headersToBackend"], json!(IDENTITY), "{name}");
        }
    }
    let headers = &object(&objects, "ClientTrafficPolicy", "public")["spec"]["headers"];
    assert_eq!(headers["withUnderscoresAction"], "DropHeader");
    assert_eq!(
        headers["earlyRequestHeaders"]["removeOnMatch"],
        json!([{ "type": "RegularExpression", "value": FORGED }])
    );
}

#[test]
fn istio_policy_checks_every_request_and_fails_closed() {
    let objects = recipe("istio");
    let policy = object(&objects, "AuthorizationPolicy", "tokenward");
    assert_eq!(policy["spec"]["action"], "CUSTOM");
    assert_eq!(policy["spec"]["rules"], json!([{}]));
    let mesh = recipe("istio-mesh");
    let providers = mesh[0]["meshConfig"]["extensionProviders"]
        .as_array()
        .unwrap();
    let is_used = |provider: &&Value| provider["name"] == policy["spec"]["provider"]["name"];
    let provider = &providers.iter().find(is_used).unwrap()["envoyExtAuthzHttp"];
    assert_eq!(
        provider["service"],
        "tokenward-internal.tokenward.svc.cluster.local"
    );
    assert_eq!(provider["port"], json!(8081));
    assert_eq!(provider["failOpen"], json!(false));
    assert_eq!(provider["timeout"], "1s");
    assert_eq!(provider["pathPrefix"], "/check/production/e-invoice");
    assert_eq!(
        provider["headersToUpstreamOnAllow"],
        json!(["x-tokenward-*"])
    );
    let product = &policy["spec"]["selector"]["matchLabels"];
    let filter = object(&objects, "EnvoyFilter", "tokenward");
    assert_eq!(&filter["spec"]["workloadSelector"]["labels"], product);
    let manager = &filter["spec"]["configPatches"][0]["patch"]["value"]["typed_config"];
    let underscores = &manager["common_http_protocol_options"]["headers_with_underscores_action"];
    assert_eq!(underscores, "DROP_HEADER");
    assert_eq!(
        manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"],
        json!([{ "remove_on_match": { "key_matcher": { "safe_regex": { "regex": FORGED } } } }])
    );
    let sides = object(&objects, "PeerAuthentication", "tokenward");
    assert_eq!(&sides["spec"]["selector"]["matchLabels"], product);
    assert_eq!(sides["spec"]["mtls"]["mode"], "STRICT");
}
