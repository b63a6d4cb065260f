//! The Helm chart, rendered by Helm's own engine (helm/render.py) and judged by the published schemas of Kubernetes,
//! cert-manager and the Gateway API; there is no cluster here. It must say what the manifests of `kubernetes` say.

use crate::{FOLDER, LIMIT, printed};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;
use tokenward_testkit::{Authority, PgCluster, Server, assert_contains, finish};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/helm/tokenward");

/// A program of the Python environment that `xtask/setup.sh test` makes.
fn python_program(name: &str) -> Command {
    let path = format!("{FOLDER}/../.cache/venv/bin/{name}");
    assert!(
        Path::new(&path).exists(),
        "{name} is missing: xtask/setup.sh test installs it"
    );
    Command::new(path)
}

/// Runs `render.py` with values.
fn helm(values: &Value, verb: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let request = folder.path().join("request.json");
    let text = json!({ "name": "tokenward", "namespace": "tokenward", "values": values });
    std::fs::write(&request, text.to_string()).unwrap();
    let mut command = python_program("python");
    command.arg(format!("{FOLDER}/helm/render.py"));
    command.arg(CHART).arg(&request).args(verb);
    finish(&mut command, LIMIT)
}

/// The objects that these values give, and the notes.
fn rendered(values: &Value) -> (Vec<Value>, String) {
    let output = helm(values, &[]);
    assert!(output.status.success(), "{values}: {}", printed(&output));
    let mut list: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let notes = list.pop().unwrap().as_str().unwrap().to_owned();
    (list, notes)
}

/// The documents of a YAML file, which is named from this package's folder on.
pub(crate) fn documents(name: &str) -> Vec<Value> {
    documents_of(&Path::new(FOLDER).join(name))
}

/// The documents of a YAML file.
fn documents_of(path: &Path) -> Vec<Value> {
    let mut command = python_program("python");
    command.arg(format!("{FOLDER}/helm/render.py")).arg(path);
    let output = finish(&mut command, LIMIT);
    let told = printed(&output);
    assert!(output.status.success(), "{}: {told}", path.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The only object of a kind with a name.
pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let mut found = objects.iter().filter(is_it);
    let first = found.next().unwrap_or_else(|| panic!("no {kind} {name}"));
    assert!(found.next().is_none(), "two {kind} {name}");
    first
}

/// Values with all that an installation with certificates has.
fn certificates() -> Value {
    let issued = |names: &[&str]| {
        json!({
            "enabled": true,
            "issuer": { "name": "internal", "kind": "ClusterIssuer" },
            "dnsNames": names,
        })
    };
    json!({
        "publicUrl": "https://tokens.example.com",
        "databaseAuthority": { "configMap": "database-authority", "key": "root.crt" },
        "tls": {
            "public": { "certManager": issued(&["tokens.example.com"]) },
            "internal": {
                "certManager": issued(&["tokenward.internal"]),
                "clientAuthority": { "secret": "callers" },
                "callers": {
                    "gateway.internal": ["production/gst", "production/e-invoice"],
                    "spiffe://cluster/ns/sandbox/sa/envoy": ["sandbox/*"],
                    "prometheus.internal": ["metrics"],
                },
            },
        },
    })
}

/// Values that set every other part of the chart.
fn everything() -> Value {
    json!({
        "replicas": 5,
        "image": {
            "repository": "registry.example.com/tokenward",
            "digest": format!("sha256:{}", "0".repeat(64)),
            "pullPolicy": "IfNotPresent",
            "pullSecrets": ["registry"],
        },
        "fullnameOverride": "tokens",
        "publicUrl": "https://tokens.example.com",
        "trustedProxies": ["10.0.0.0/8", "2001:db8::1"],
        "config": "quota_per_day = 500\nmail_from = \"tokens@example.com\"\n[environment_hosts]\n\"api-sandbox.example.com\" = \"sandbox\"\n",
        "secret": {
            "create": true,
            "databaseUrl": "postgres://tokenward:password@db:5432/tokenward",
            "digestKeys": "keys\n",
        },
        "databaseAuthority": { "secret": "database-authority" },
        "tls": { "public": { "secret": "public" }, "internal": { "secret": "internal" } },
        "service": {
            "public": { "type": "LoadBalancer", "port": 443, "annotations": { "a": "b" } },
            "internal": { "port": 8443, "annotations": { "a": "b" } },
        },
        "updateStrategy": { "maxUnavailable": "25%", "maxSurge": 2 },
        "podDisruptionBudget": { "maxUnavailable": "25%" },
        "networkPolicy": {
            "publicFrom": [{ "namespaceSelector": { "matchLabels": { "a": "b" } } }],
            "internalFrom": [{ "ipBlock": { "cidr": "10.0.0.0/8" } }],
        },
        "topologySpread": [
            { "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule" },
            { "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway" },
        ],
        "serviceAccountName": "tokenward",
        "priorityClassName": "high",
        "podAnnotations": { "a": "b" },
        "podLabels": { "a": "b" },
        "nodeSelector": { "a": "b" },
        "tolerations": [{ "key": "a", "operator": "Exists" }],
        "affinity": { "nodeAffinity": {} },
        "extraEnv": [{ "name": "TOKENWARD_MAIL_URL_FILE", "value": "/etc/mail/url" }],
        "extraVolumes": [{ "name": "mail", "secret": { "secretName": "mail" } }],
        "extraVolumeMounts": [{ "name": "mail", "mountPath": "/etc/mail", "readOnly": true }],
    })
}

/// Values that leave out what can be left out.
fn least() -> Value {
    json!({
        "replicas": 1,
        "prometheusAnnotations": false,
        "podDisruptionBudget": { "enabled": false },
        "networkPolicy": { "enabled": false },
        "topologySpread": [],
    })
}

fn all_values() -> [(&'static str, Value); 4] {
    [
        ("defaults", json!({})),
        ("certificates", certificates()),
        ("everything", everything()),
        ("least", least()),
    ]
}

/// Whether Kubernetes itself has this kind.
fn is_of_kubernetes(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap();
    version == "v1"
        || version.starts_with("apps/")
        || version.starts_with("policy/")
        || version.contains(".k8s.io/")
}

/// Judges objects by the schemas of the oldest Kubernetes that the chart takes and of the newest that is published.
fn judge_by_kubernetes(name: &str, objects: &[&Value]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    let documents: Vec<String> = objects.iter().map(ToString::to_string).collect();
    std::fs::write(&file, documents.join("\n---\n")).unwrap();
    for version in ["1.30", "1.37"] {
        let mut command = python_program("python");
        command.args(["-m", "kubernetes_validate", "--strict", "-k", version]);
        let output = finish(command.arg(&file), LIMIT);
        let told = printed(&output);
        let passed = told.matches("passed").count();
        assert!(
            output.status.success() && passed == objects.len(),
            "{name}, Kubernetes {version}: {told}"
        );
    }
}

/// Judges objects of cert-manager, the Gateway API and Istio; returns what is wrong.
pub(crate) fn judge_other_kinds(objects: &[&Value]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.json");
    std::fs::write(&file, json!(objects).to_string()).unwrap();
    let checker = format!("{FOLDER}/tests/resources/check.js");
    assert!(
        Path::new(&format!("{FOLDER}/tests/resources/node_modules")).exists(),
        "Node packages are missing: xtask/setup.sh test installs them"
    );
    let output = finish(Command::new("node").arg(checker).arg(&file), LIMIT);
    let told = printed(&output);
    assert_eq!(output.status.success(), told.is_empty(), "{told}");
    told
}

#[test]
fn manifests_fit_the_schemas_of_kubernetes() {
    // The image was made and run by hand (docs/guide/containers.md).
    for file in ["namespace.yaml", "tokenward.yaml"] {
        let objects = documents(&format!("kubernetes/{file}"));
        judge_by_kubernetes(file, &objects.iter().collect::<Vec<_>>());
    }
}

#[test]
fn helm_lint_finds_nothing() {
    for (name, values) in all_values() {
        let output = helm(&values, &["lint"]);
        assert!(output.status.success(), "{name}: {}", printed(&output));
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(findings, json!([]), "{name}");
    }
}

#[test]
fn rendered_objects_fit_the_published_schemas() {
    for (name, values) in all_values() {
        let (objects, notes) = rendered(&values);
        let (own, others): (Vec<&Value>, Vec<&Value>) =
            objects.iter().partition(|object| is_of_kubernetes(object));
        judge_by_kubernetes(name, &own);
        let certificates = if name == "certificates" { 2 } else { 0 };
        assert_eq!(others.len(), certificates, "{name}");
        if !others.is_empty() {
            assert_eq!(judge_other_kinds(&others), "", "{name}");
        }
        assert!(
            notes.contains("rollout status deployment/"),
            "{name}: {notes}"
        );
    }
}

/// Removes labels that only Helm adds, wherever they stand.
fn without_labels_of_helm(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for label in [
                "app.kubernetes.io/instance",
                "app.kubernetes.io/managed-by",
                "app.kubernetes.io/version",
                "helm.sh/chart",
            ] {
                fields.remove(label);
            }
            fields.values_mut().for_each(without_labels_of_helm);
        }
        Value::Array(list) => list.iter_mut().for_each(without_labels_of_helm),
        _ => {}
    }
}

#[test]
fn chart_and_kustomize_manifests_say_the_same() {
    let (objects, _) = rendered(&json!({ "publicUrl": "https://tokens.example.com" }));
    let manifests = documents("kubernetes/tokenward.yaml");
    assert_eq!(objects.len(), manifests.len());
    for of_kustomize in &manifests {
        let kind = of_kustomize["kind"].as_str().unwrap();
        let name = of_kustomize["metadata"]["name"].as_str().unwrap();
        let mut of_helm = object(&objects, kind, name)["spec"].clone();
        without_labels_of_helm(&mut of_helm);
        if kind == "Deployment" {
            // kustomization.yaml names the registry.
            let image = &mut of_helm["template"]["spec"]["containers"][0]["image"];
            assert_eq!(*image, json!("registry.example.com/tokenward:0.1.0"));
            *image = json!("tokenward");
        }
        assert_eq!(of_helm, of_kustomize["spec"], "{kind} {name}");
    }
}

#[test]
fn no_value_weakens_the_pod() {
    for (name, values) in all_values() {
        let (objects, _) = rendered(&values);
        let is_deployment = |object: &&Value| object["kind"] == "Deployment";
        let deployment = objects.iter().find(is_deployment).unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(
            pod["securityContext"],
            json!({
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            }),
            "{name}"
        );
        assert_eq!(pod["automountServiceAccountToken"], json!(false), "{name}");
        let containers = pod["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1, "{name}");
        assert_eq!(
            containers[0]["securityContext"],
            json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            }),
            "{name}"
        );
        // Secrets are for the group of the pod only.
        for volume in pod["volumes"].as_array().unwrap() {
            let of_chart = volume["name"] != "mail";
            if of_chart && volume["secret"].is_object() {
                assert_eq!(
                    volume["secret"]["defaultMode"],
                    json!(0o440),
                    "{name}: {volume}"
                );
            }
        }
    }
}

/// Values that the chart refuses, each with words of the refusal.
const REFUSED: &str = r#"
{ "replicas": "three" } -> '/replicas': got string, want integer
{ "replicas": 65 } -> '/replicas': maximum
{ "replica": 3 } -> additional properties 'replica' not allowed
{ "networkPolicy": { "internal": [] } } -> additional properties 'internal' not allowed
{ "networkPolicy": { "internalFrom": [] } } -> minItems
{ "networkPolicy": { "internalFrom": [{}] } } -> minProperties
{ "image": { "digest": "sha256:1" } } -> does not match pattern
{ "trustedProxies": ["proxy.example.com"] } -> does not match pattern
{ "tls": { "internal": { "callers": { "a": ["staging/gst"] } } } } -> does not match pattern
{ "service": { "internal": { "type": "LoadBalancer" } } } -> additional properties 'type' not allowed
{ "tls": { "internal": { "clientAuthority": { "secret": "callers" } } } } -> tls.internal.clientAuthority needs a certificate of the listener
{ "tls": { "internal": { "secret": "tls", "clientAuthority": { "secret": "callers" } } } } -> tls.internal.callers is empty
{ "tls": { "internal": { "secret": "tls", "callers": { "gateway": ["*/*"] } } } } -> tls.internal.callers needs tls.internal.clientAuthority
{ "tls": { "public": { "certManager": { "enabled": true } } } } -> tls.public.certManager.issuer.name is empty
{ "secret": { "create": true } } -> secret.databaseUrl is empty
{ "secret": { "digestKeys": "a" } } -> are for secret.create: true
{ "secret": { "name": "" } } -> secret.name is empty
{ "updateStrategy": { "maxUnavailable": 0, "maxSurge": 0 } } -> cannot both be 0
"#;

#[test]
fn wrong_values_are_refused() {
    for line in REFUSED.trim().lines() {
        let (values, sentence) = line.split_once(" -> ").unwrap();
        let output = helm(&serde_json::from_str(values).unwrap(), &[]);
        let told = printed(&output);
        assert!(
            !output.status.success() && told.contains(sentence),
            "{values}: {told}"
        );
    }
}

/// Compares the schema of an object with the defaults, and refuses an object that takes unknown keys.
fn compare(path: &str, schema: &Value, defaults: &Map<String, Value>) {
    let properties = schema["properties"].as_object();
    let properties = properties.unwrap_or_else(|| panic!("{path}: no properties"));
    assert_eq!(schema["additionalProperties"], json!(false), "{path}");
    let known: Vec<&String> = properties.keys().filter(|key| *key != "global").collect();
    let written: Vec<&String> = defaults.keys().collect();
    assert_eq!(known, written, "{path}: values.schema.json and values.yaml");
    for (key, value) in defaults {
        let inner = &properties[key];
        let is_open = inner["properties"].is_null();
        if let (Some(fields), false) = (value.as_object(), is_open) {
            compare(&format!("{path}/{key}"), inner, fields);
        }
    }
}

#[test]
fn values_of_the_guide_are_accepted() {
    let guide = std::fs::read_to_string(format!("{FOLDER}/../docs/guide/helm.md")).unwrap();
    let blocks: Vec<&str> = guide
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 1, "{blocks:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut together = Map::new();
    for block in blocks {
        let file = folder.path().join("values.yaml");
        std::fs::write(&file, block).unwrap();
        let values = documents_of(&file).remove(0);
        rendered(&values);
        together.extend(values.as_object().unwrap().clone());
    }
    // The examples of the page fit together, too.
    rendered(&Value::Object(together));
}

#[test]
fn every_value_is_in_the_schema_and_no_other() {
    let text = std::fs::read_to_string(format!("{CHART}/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let values = documents("helm/tokenward/values.yaml");
    compare("", &schema, values[0].as_object().unwrap());
}

#[test]
fn chart_starts_the_image_of_this_version() {
    let text = std::fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("\nversion: {version}\n")), "{text}");
    assert_contains(&text, &format!("\nappVersion: \"{version}\"\n"));
}

#[test]
fn changed_secret_and_configuration_restart_the_pods() {
    let annotations = |values: &Value| {
        let (objects, _) = rendered(values);
        object(&objects, "Deployment", "tokens")["spec"]["template"]["metadata"]["annotations"]
            .clone()
    };
    let before = everything();
    let mut other_keys = before.clone();
    other_keys["secret"]["digestKeys"] = json!("other keys\n");
    let mut other_config = before.clone();
    other_config["config"] = json!("quota_per_day = 600\n");
    let of_before = annotations(&before);
    let changed = |values: &Value, name: &str| {
        let now = annotations(values);
        assert_ne!(now[name], of_before[name]);
        let mut same = now.clone();
        same[name] = of_before[name].clone();
        assert_eq!(same, of_before);
    };
    changed(&other_keys, "checksum/secret");
    changed(&other_config, "checksum/config");
    let (objects, _) = rendered(&before);
    let secret = object(&objects, "Secret", "tokens");
    assert_eq!(secret["data"]["digest-keys"], json!("a2V5cwo="));
}

/// A pod of the chart on this machine: its files in a folder, and its environment with the paths of that folder.
struct Pod {
    container: Value,
    environment: Vec<(String, String)>,
    root: TempDir,
}

impl Pod {
    /// Lays the files out that Secrets and ConfigMaps would hold, by their paths in the pod.
    fn new(values: &Value, files: &BTreeMap<&str, String>) -> Pod {
        let (objects, _) = rendered(values);
        let is_deployment = |object: &&Value| object["kind"] == "Deployment";
        let deployment = objects.iter().find(is_deployment).unwrap();
        let container = deployment["spec"]["template"]["spec"]["containers"][0].clone();
        let root = tempfile::tempdir().unwrap();
        let placed = |path: &str| root.path().join(path.trim_start_matches('/'));
        for (path, text) in files {
            let file = placed(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o440);
            std::fs::set_permissions(&file, private).unwrap();
        }
        std::fs::create_dir_all(placed("/var/lib/tokenward")).unwrap();
        let variables = container["env"].as_array().unwrap().iter();
        let environment = variables
            .map(|variable| {
                let name = variable["name"].as_str().unwrap().to_owned();
                let value = match variable["value"].as_str() {
                    Some(path) if path.starts_with('/') => placed(path).display().to_string(),
                    Some(text) => text.to_owned(),
                    // The name of the pod.
                    None => "tokenward-7d9c-x2v".to_owned(),
                };
                (name, value)
            })
            .collect();
        Pod {
            container,
            environment,
            root,
        }
    }

    /// What `tokenward config check` prints in the pod.
    fn configuration(&self, binary: &Path) -> Value {
        let mut command = Command::new(binary);
        command.env_clear().args(["config", "check"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = finish(&mut command, LIMIT);
        assert!(output.status.success(), "{}", printed(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts the pod's server with a database, on ports of its own.
    fn start(&self, database: &str) -> Server {
        let own = ["TOKENWARD_DATA_DIR", "TOKENWARD_DATABASE_URL_FILE"];
        let mut builder = Server::builder().without_environment().database(database);
        for (name, value) in &self.environment {
            if !own.contains(&name.as_str()) {
                builder = builder.env(name, value);
            }
        }
        builder.start()
    }
}

/// The status with which the internal listener answers a request without a client certificate, or with one. Like the kubelet,
/// the request does not verify the server.
fn status(server: &Server, path: &str, more: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}"]);
    command
        .args(more)
        .arg(format!("{}{path}", server.internal()));
    let output = finish(&mut command, LIMIT);
    assert!(output.status.success(), "{path}: {}", printed(&output));
    printed(&output)
}

/// The files of the values [`certificates`] and [`everything`], with certificates of this authority.
fn files_of_pods(authority: &Authority) -> BTreeMap<&'static str, String> {
    let (certificate, key) = authority.issue(&["tokenward.internal"], (2000, 2100));
    let keys = format!("1:{}\n", "0123456789abcdef".repeat(4));
    let url = "postgres://tokenward:password@127.0.0.1:1/tokenward";
    let config = everything()["config"].as_str().unwrap().to_owned();
    let authority = authority.pem().to_owned();
    BTreeMap::from([
        ("/etc/tokenward/database-url", url.to_owned()),
        ("/etc/tokenward/digest-keys", keys),
        ("/etc/tokenward-public-tls/tls.crt", certificate.clone()),
        ("/etc/tokenward-public-tls/tls.key", key.clone()),
        ("/etc/tokenward-internal-tls/tls.crt", certificate),
        ("/etc/tokenward-internal-tls/tls.key", key),
        ("/etc/tokenward-callers/authority.pem", authority.clone()),
        ("/etc/tokenward-database/authority.pem", authority),
        ("/etc/tokenward-config/tokenward.toml", config),
        ("/etc/mail/url", "smtp://mail.example.com:587".to_owned()),
    ])
}

#[test]
fn server_takes_what_the_pod_gets() {
    let server = Server::start();
    let files = files_of_pods(&Authority::new("internal"));
    let resolved = |values: &Value| Pod::new(values, &files).configuration(server.binary());
    let of_certificates = resolved(&certificates());
    assert_eq!(
        of_certificates["internal_callers"],
        certificates()["tls"]["internal"]["callers"]
    );
    assert_eq!(
        of_certificates["public_url"],
        json!("https://tokens.example.com")
    );
    assert_eq!(of_certificates["database"], json!("postgres"));
    assert_eq!(of_certificates["node_name"], json!("tokenward-7d9c-x2v"));
    for line in [
        "public_tls certificate /etc/tokenward-public-tls/tls.crt",
        "public_tls key /etc/tokenward-public-tls/tls.key",
        "internal_tls certificate /etc/tokenward-internal-tls/tls.crt",
        "internal_tls key /etc/tokenward-internal-tls/tls.key",
        "internal_tls client_authority /etc/tokenward-callers/authority.pem",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let &[listener, part, end] = &words[..] else {
            panic!("{line}")
        };
        let path = of_certificates[listener][part].as_str().unwrap();
        assert!(path.ends_with(end), "{listener} {part}: {path}");
    }
    let of_everything = resolved(&everything());
    assert_eq!(of_everything["quota_per_day"], json!(500));
    assert_eq!(
        of_everything["environment_hosts"],
        json!({ "api-sandbox.example.com": "sandbox" })
    );
    assert_eq!(of_everything["mail"], json!(true));
    assert_eq!(
        of_everything["trusted_proxies"],
        json!(["10.0.0.0/8", "2001:db8::1/128"])
    );
    let of_defaults = resolved(&json!({}));
    assert_eq!(of_defaults["public_tls"], Value::Null);
    assert_eq!(of_defaults["internal_tls"], Value::Null);
    assert_eq!(of_defaults["quota_per_day"], json!(288));
}

#[test]
fn probes_succeed_and_callers_need_certificates() {
    let authority = Authority::new("internal");
    let (certificate, key) = authority.issue(&["gateway.internal"], (2000, 2100));
    let cluster = PgCluster::start();
    // The database of this test has no TLS.
    let mut values = certificates();
    values["databaseAuthority"]["configMap"] = json!("");
    let pod = Pod::new(&values, &files_of_pods(&authority));
    let server = pod.start(&cluster.url());
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let get = &pod.container[probe]["httpGet"];
        assert_eq!(get["scheme"], "HTTPS", "{probe}");
        let path = get["path"].as_str().unwrap();
        assert_eq!(status(&server, path, &[]), "200", "{probe}");
    }
    let place = |name: &str, text: &str| {
        let path = pod.root.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = place("gateway.pem", &certificate);
    let key = place("gateway.key", &key);
    let own = ["--cert", &certificate, "--key", &key];
    // It may ask; this store has no product.
    assert_eq!(status(&server, "/check/production/gst", &own), "404");
    assert_eq!(status(&server, "/check/sandbox/gst", &own), "403");
    assert_eq!(status(&server, "/check/production/gst", &[]), "403");
}
