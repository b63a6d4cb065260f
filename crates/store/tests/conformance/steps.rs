//! What a random history is made of.

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    NewClient {
        workspace: usize,
        returns: bool,
    },
    Generate {
        client: usize,
        force: bool,
        handover: u32,
    },
    ByAdmin {
        client: usize,
    },
    Revoke {
        client: usize,
    },
    EndPrevious {
        client: usize,
    },
    Disable {
        client: usize,
        on: bool,
    },
    Workspace {
        workspace: usize,
        disabled: bool,
    },
    Delete {
        client: usize,
    },
    Settings {
        client: usize,
        products: Option<Vec<u32>>,
        networks: usize,
        lifetime: Option<u32>,
        returns: bool,
    },
    Rotate {
        client: usize,
        position: usize,
        drop: bool,
    },
    Product {
        number: usize,
        delete: bool,
    },
    AdminKey {
        revoked: bool,
        scoped: bool,
    },
    EndAndIssue {
        client: usize,
    },
    Wait {
        seconds: i64,
    },
    Reopen,
    Epoch,
}

pub(crate) const NETWORKS: [&[&str]; 3] = [
    &[],
    &["10.0.0.0/8"],
    &["2001:db8::/32", "192.0.2.7", "10.0.0.0/8"],
];
pub(crate) const LABELS: [&str; 3] = ["ERP", "Abrechnung Süd", "会計 № 7"];

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..8_usize;
    let step = prop_oneof![
        3 => (0..2_usize, any::<bool>()).prop_map(|(workspace, returns)| Step::NewClient { workspace, returns }),
        8 => (client(), any::<bool>(), prop::sample::select(vec![0, 0, 30, 60]))
            .prop_map(|(client, force, handover)| Step::Generate { client, force, handover }),
        2 => client().prop_map(|client| Step::ByAdmin { client }),
        2 => client().prop_map(|client| Step::Revoke { client }),
        1 => client().prop_map(|client| Step::EndPrevious { client }),
        2 => (client(), any::<bool>()).prop_map(|(client, on)| Step::Disable { client, on }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(workspace, disabled)| Step::Workspace { workspace, disabled }),
        1 => client().prop_map(|client| Step::Delete { client }),
        3 => (client(), prop::option::of(prop::collection::vec(0..5_u32, 0..4)), 0..3_usize,
                prop::option::weighted(0.8, 1..90_000_u32), any::<bool>())
            .prop_map(|(client, products, networks, lifetime, returns)|
                Step::Settings { client, products, networks, lifetime, returns }),
        2 => (client(), 0..2_usize, any::<bool>())
            .prop_map(|(client, position, drop)| Step::Rotate { client, position, drop }),
        2 => (0..4_usize, prop::bool::weighted(0.3)).prop_map(|(number, delete)| Step::Product { number, delete }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(revoked, scoped)| Step::AdminKey { revoked, scoped }),
        1 => client().prop_map(|client| Step::EndAndIssue { client }),
        2 => (1..100_000_i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Epoch),
    ];
    prop::collection::vec(step, 1..40)
}
