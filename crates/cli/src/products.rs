//! `tokenward product`.

use super::confirm::Sure;
use super::error::CliError;
use super::pages::Portion;
use super::session::{Session, slug};
use super::table::printable;
use super::views;
use reqwest::Method;
use tokenward_api::{Name, Product, ProductPut};

/// Commands on products.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Verb {
    /// List products.
    List(Portion),
    /// Create a product, or give one another name.
    #[command(after_help = "Example:\n  tokenward product put e-invoice \"E-Invoice\"")]
    Put {
        /// Its slug, as gateways name it in a check: such as e-invoice.
        #[arg(value_parser = slug)]
        slug: String,
        /// Its name for people.
        name: String,
    },
    /// Delete a product; refused while a client is restricted to it.
    Delete {
        /// Its slug.
        #[arg(value_parser = slug)]
        slug: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Carries out one command.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        Verb::List(portion) => {
            let limit = portion.limit;
            session.list("/products", limit, views::products).await
        }
        Verb::Put { slug, name } => {
            let path = format!("/products/{slug}");
            let product = api
                .send(Method::PUT, &path, ProductPut { name: Name(name) })
                .await?;
            out.object(&product, views::product)
        }
        Verb::Delete { slug, sure } => {
            let wanted = |product: &Product| *product.slug == *slug;
            let found = session.find("/products", ("product", &slug), wanted);
            let product = found.await?;
            let warning = format!(
                "This deletes the product {slug} (\"{}\").\nEvery gateway that still asks for /check/.../{slug} is \
                 answered PRODUCT_UNKNOWN from that moment, whatever the token. The server refuses while a client is \
                 restricted to it.",
                printable(&product.name)
            );
            session.confirm(sure, &warning).await?;
            let path = format!("/products/{slug}");
            session.delete(&path, "Deleted.").await
        }
    }
}
