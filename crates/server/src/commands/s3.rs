//! Backups in an S3 bucket: sent in parts, read back, listed and removed. It never shows a credential, and never sends a
//! request in plain text to another machine, but for the link-local addresses at which clouds hand out credentials.

use super::server::note;
use crate::config::data_dir::create_private;
use crate::config::s3::{S3Addressing, S3Settings, aws_variable, credentials_endpoint, endpoint};
use crate::process::serve::Fault;
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path as ObjectPath;
use object_store::{
    ClientOptions, MultipartId, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
};
use parking_lot::Mutex;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What an address in S3 begins with.
const SCHEME: &str = "s3://";
/// A part of an upload, in bytes. The smallest that S3 takes is 5 MiB; parts that are sent again when a connection breaks should
/// be small.
const PART: u64 = 8 << 20;
/// Parts that S3 takes in one upload.
const PARTS_MAX: u64 = 10_000;
/// Parts that are sent at once, each in memory.
const PARTS_UNDER_WAY: usize = 3;
/// Tries of a request after its first, with pauses that grow to some seconds in all.
const RETRIES: usize = 6;
/// Longest time for all tries of a request.
const RETRY_TIMEOUT: Duration = Duration::from_secs(180);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an answer, or for more of it. A part must have been sent within it: that takes 0.6 Mbit/s.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time for taking away what a failed command left in the bucket.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);
/// The region where a service that is not AWS has no regions.
const ANY_REGION: &str = "us-east-1";

/// A bucket, and a key or the beginning of keys in it.
#[derive(Clone, Debug)]
pub(super) struct Address {
    bucket: String,
    path: ObjectPath,
}

impl Address {
    /// Reads `s3://BUCKET/PATH`; none when the path is one of this machine.
    ///
    /// # Errors
    /// When the bucket or the path can't be one.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Fault> {
        let Some(rest) = path.to_str().and_then(|text| text.strip_prefix(SCHEME)) else {
            return Ok(None);
        };
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(in_name) {
            // Not repeated: somebody may have written a credential before an @.
            let wrong = "the bucket's name after s3:// must be 3 to 63 letters, digits, dots, hyphens or underscores. Credentials \
                         are read from the environment, as AWS tools do";
            return Err(wrong.into());
        }
        let path = ObjectPath::parse(path).map_err(|error| format!("s3://{rest}: {error}"))?;
        Ok(Some(Self {
            bucket: bucket.to_owned(),
            path,
        }))
    }

    /// The address of the file with this name below this one.
    fn below(&self, name: &str) -> Self {
        Self {
            bucket: self.bucket.clone(),
            path: self.path.clone().join(name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        match self.path.as_ref() {
            "" => Ok(()),
            path => write!(f, "/{path}"),
        }
    }
}

/// What a command that is interrupted must take away.
#[derive(Debug, Default)]
enum Unfinished {
    #[default]
    Nothing,
    /// Parts without an object.
    Parts(ObjectPath, MultipartId),
    /// Parts or an object: the completion was sent.
    Completing(ObjectPath, MultipartId),
    /// An object that is not known to be good.
    Object(ObjectPath),
}

/// A bucket that is open for a command.
pub(super) struct Bucket {
    address: Address,
    /// The service's address, for sentences.
    service: String,
    store: Arc<AmazonS3>,
    /// What no sentence may contain.
    secrets: Vec<String>,
    runtime: tokio::runtime::Runtime,
    unfinished: Arc<Mutex<Unfinished>>,
}

impl Bucket {
    /// Finds the service and the credentials, and asks for no object yet.
    ///
    /// # Errors
    /// When the settings can't be used, or when there are no credentials.
    pub(super) fn open(address: Address, settings: &S3Settings) -> Result<Self, Fault> {
        let (builder, service) = builder(&address, settings)?;
        // One thread beside the command's own, which may be busy with the store when a signal comes.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let store = {
            let _entered = runtime.enter();
            builder
                .build()
                .map_err(|error| format!("{address}: {}", cause(&error)))?
        };
        let credential = runtime.block_on(store.credentials().get_credential());
        let credential = credential.map_err(|error| {
            format!(
                "no credentials for {address}: {}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine, \
                 container or service account a role",
                cause(&error)
            )
        })?;
        let mut secrets = vec![credential.key_id.clone(), credential.secret_key.clone()];
        secrets.extend(credential.token.clone());
        secrets.retain(|secret| !secret.is_empty());
        Ok(Self {
            address,
            service,
            store: Arc::new(store),
            secrets,
            runtime,
            unfinished: Arc::default(),
        })
    }

    /// The address of a file in it.
    pub(super) fn shown(&self, name: &str) -> String {
        self.address.below(name).to_string()
    }

    /// The names of the files that lie directly under its address.
    ///
    /// # Errors
    /// When the bucket can't be listed.
    pub(super) fn names(&self) -> Result<Vec<String>, Fault> {
        let listing = self.store.list_with_delimiter(Some(&self.address.path));
        let listed = self.runtime.block_on(listing);
        let listed = listed.map_err(|error| self.trouble("list", &self.address, &error))?;
        let names = listed
            .objects
            .iter()
            .filter_map(|one| one.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// Sends the file `from` in parts; the object appears when the last one has arrived. From now on a signal that ends the
    /// command also removes what was sent, and the folder `work`, until [`Bucket::keep`].
    ///
    /// # Errors
    /// When that fails; what was sent is removed again, or the sentence says that it was not.
    pub(super) fn upload(&self, from: &Path, name: &str, work: &Path) -> Result<(), Fault> {
        let to = self.address.below(name);
        self.runtime.block_on(async {
            let watching = clean_up_at_signal(
                Arc::clone(&self.store),
                Arc::clone(&self.unfinished),
                work.to_owned(),
            );
            tokio::spawn(watching?);
            let sent = self.send(from, &to.path).await;
            let Err(fault) = sent else { return Ok(()) };
            let unfinished = std::mem::take(&mut *self.unfinished.lock());
            let reason = match fault {
                Trouble::File(error) => format!("cannot read {}: {error}", from.display()),
                Trouble::S3(error) => self.trouble("write", &to, &error),
            };
            let gone = remove(&self.store, unfinished).await;
            let rest = match gone {
                Ok(true) => ". What was sent is removed",
                Ok(false) => "",
                Err(_) => {
                    ". The parts that were sent could not be removed; a lifecycle rule of the bucket for incomplete multipart \
                     uploads does it"
                }
            };
            Err(format!("{reason}{rest}").into())
        })
    }

    async fn send(&self, from: &Path, to: &ObjectPath) -> Result<(), Trouble> {
        use tokio::io::AsyncReadExt as _;
        let mut file = tokio::fs::File::open(from).await?;
        let size = file.metadata().await?.len();
        // A whole number of MiB, for the size of the largest store.
        let part = PART.max(size.div_ceil(PARTS_MAX).next_multiple_of(1 << 20));
        let id = self.store.create_multipart(to).await?;
        *self.unfinished.lock() = Unfinished::Parts(to.clone(), id.clone());
        let mut under_way = JoinSet::new();
        let mut parts: Vec<(usize, PartId)> = Vec::new();
        for number in 0.. {
            let mut bytes = Vec::with_capacity(usize::try_from(part.min(size)).unwrap_or_default());
            (&mut file).take(part).read_to_end(&mut bytes).await?;
            if bytes.is_empty() && number > 0 {
                break;
            }
            while under_way.len() >= PARTS_UNDER_WAY {
                parts.extend(next(&mut under_way).await?);
            }
            let (store, to, id) = (Arc::clone(&self.store), to.clone(), id.clone());
            under_way.spawn(async move {
                let sent = store.put_part(&to, &id, number, bytes.into()).await?;
                Ok::<_, object_store::Error>((number, sent))
            });
        }
        while let Some(done) = next(&mut under_way).await? {
            parts.push(done);
        }
        parts.sort_by_key(|(number, _)| *number);
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        *self.unfinished.lock() = Unfinished::Completing(to.clone(), id.clone());
        self.store.complete_multipart(to, &id, parts).await?;
        *self.unfinished.lock() = Unfinished::Object(to.clone());
        Ok(())
    }

    /// Reads the object under `name`, or under the bucket's address without one, into the new file `to`.
    ///
    /// # Errors
    /// When it can't be read whole, or when the disk has no room for it.
    pub(super) fn download(&self, name: Option<&str>, to: &Path) -> Result<(), Fault> {
        let from = match name {
            Some(name) => self.address.below(name),
            None => self.address.clone(),
        };
        let reading = async {
            let found = self.store.get(&from.path).await?;
            let size = found.meta.size;
            let folder = rustix::fs::statvfs(to.parent().unwrap_or(Path::new(".")));
            let folder = folder.map_err(std::io::Error::from)?;
            if folder.f_bavail.saturating_mul(folder.f_frsize) < size {
                let full = format!("{} has no room for {size} bytes", to.display());
                return Err(Trouble::File(std::io::Error::other(full)));
            }
            create_private(to, b"").map_err(std::io::Error::other)?;
            let mut file = std::fs::File::options().write(true).open(to)?;
            let mut bytes = found.into_stream();
            let mut written = 0;
            while let Some(some) = bytes.try_next().await? {
                file.write_all(&some)?;
                written += some.len() as u64;
            }
            if written != size {
                let short = format!("{written} bytes came, and it has {size}");
                return Err(Trouble::File(std::io::Error::other(short)));
            }
            file.sync_all()?;
            Ok(())
        };
        let read: Result<(), Trouble> = self.runtime.block_on(reading);
        read.map_err(|trouble| match trouble {
            Trouble::File(error) => format!("cannot copy {from}: {error}").into(),
            Trouble::S3(error) => self.trouble("read", &from, &error).into(),
        })
    }

    /// Takes the object that was sent as good. Does not return when a signal came before: what was sent is being removed, and
    /// the process ends.
    pub(super) fn keep(&self) {
        let unfinished = std::mem::take(&mut *self.unfinished.lock());
        if matches!(unfinished, Unfinished::Nothing) {
            loop {
                std::thread::park();
            }
        }
    }

    /// Removes the object that was sent and is not good.
    ///
    /// # Errors
    /// When it stays.
    pub(super) fn discard(&self) -> Result<(), Fault> {
        let unfinished = std::mem::take(&mut *self.unfinished.lock());
        let removing = remove(&self.store, unfinished);
        match self.runtime.block_on(removing) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.trouble("delete in", &self.address, &error).into()),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When it stays.
    pub(super) fn delete(&self, name: &str) -> Result<(), Fault> {
        let from = self.address.below(name);
        let removing = self.store.delete(&from.path);
        let removed = self.runtime.block_on(removing);
        removed.map_err(|error| self.trouble("delete", &from, &error).into())
    }

    /// What went wrong, in a sentence. What the service wrote is left out but for its code: S3 repeats headers, and in them
    /// session tokens, when a signature is wrong.
    fn trouble(&self, verb: &str, what: &Address, error: &object_store::Error) -> String {
        let text = error.to_string();
        let code = text.split_once("<Code>").map(|(_, rest)| rest);
        let code = code.and_then(|rest| rest.split_once("</Code>"));
        let code = code.map(|(code, _)| code.trim());
        let plain =
            |code: &&str| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let reason = match code.filter(plain) {
            Some("NoSuchBucket") => "the bucket does not exist".to_owned(),
            Some("NoSuchKey") => "there is no such object".to_owned(),
            Some("InvalidAccessKeyId") => "the service does not know the access key id".to_owned(),
            Some("SignatureDoesNotMatch") => {
                "the secret access key is not the one of the access key id".to_owned()
            }
            Some("AccessDenied") => "the credentials do not allow it".to_owned(),
            Some("ExpiredToken" | "InvalidToken") => {
                "the session token has expired or is not valid".to_owned()
            }
            Some("RequestTimeTooSkewed") => {
                "the clocks of this machine and of the service differ too much".to_owned()
            }
            Some("PermanentRedirect" | "AuthorizationHeaderMalformed") => {
                "the bucket is in another region: name it with --s3-region".to_owned()
            }
            Some(code) => format!("the service answered {code}"),
            None => cause(error),
        };
        let reason = self
            .secrets
            .iter()
            .fold(reason, |reason, secret| reason.replace(secret, "..."));
        format!("cannot {verb} {what} at {}: {reason}", self.service)
    }
}

/// What can end an upload or a download.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Trouble {
    /// A file of this machine.
    File(#[from] std::io::Error),
    /// The bucket.
    S3(#[from] object_store::Error),
}

type Sent = Result<(usize, PartId), object_store::Error>;

/// The next part that has arrived.
async fn next(under_way: &mut JoinSet<Sent>) -> Result<Option<(usize, PartId)>, Trouble> {
    match under_way.join_next().await {
        Some(Ok(sent)) => Ok(Some(sent?)),
        Some(Err(error)) => Err(Trouble::File(std::io::Error::other(error))),
        None => Ok(None),
    }
}

/// Takes away what is unfinished. Returns whether there was anything.
async fn remove(store: &AmazonS3, unfinished: Unfinished) -> Result<bool, object_store::Error> {
    let removing = async {
        match unfinished {
            Unfinished::Nothing => Ok(false),
            Unfinished::Parts(path, id) => store.abort_multipart(&path, &id).await.map(|()| true),
            Unfinished::Completing(path, id) => {
                // One of the two is not there.
                let aborted = store.abort_multipart(&path, &id).await;
                let deleted = store.delete(&path).await;
                aborted.or(deleted).map(|()| true)
            }
            Unfinished::Object(path) => store.delete(&path).await.map(|()| true),
        }
    };
    let removed = tokio::time::timeout(CLEANUP_TIMEOUT, removing).await;
    removed.unwrap_or_else(|_| {
        Err(object_store::Error::Generic {
            store: "S3",
            source: "it did not answer in time".into(),
        })
    })
}

/// Ends the process at SIGTERM or SIGINT, after what is unfinished was taken away.
fn clean_up_at_signal(
    store: Arc<AmazonS3>,
    unfinished: Arc<Mutex<Unfinished>>,
    work: std::path::PathBuf,
) -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let unfinished = std::mem::take(&mut *unfinished.lock());
        let rest = match remove(&store, unfinished).await {
            Ok(true) => "what was sent is removed",
            Ok(false) => "nothing unfinished is in the bucket",
            Err(_) => "what was sent could not be removed from the bucket",
        };
        let _ = std::fs::remove_dir_all(work);
        note(&format!("tokenward: interrupted; {rest}"));
        std::process::exit(1)
    })
}

/// The client of the bucket, without a connection yet, and the service's address for sentences.
fn builder(address: &Address, settings: &S3Settings) -> Result<(AmazonS3Builder, String), Fault> {
    let bucket = &address.bucket;
    let of_environment = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    let mut places = of_environment
        .iter()
        .filter_map(|name| aws_variable(name).map(|text| (*name, text)));
    let place = settings
        .endpoint
        .clone()
        .map(|text| ("--s3-endpoint or backup_s3_endpoint", text));
    let place = place.or_else(|| places.next());
    let place = place.map(|(key, text)| endpoint(key, &text)).transpose()?;
    let region = settings.region.clone();
    let region = region
        .or_else(|| aws_variable("AWS_REGION").or_else(|| aws_variable("AWS_DEFAULT_REGION")));
    let region = match (region, &place) {
        (Some(region), _)
            if region
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
        {
            region
        }
        (Some(region), _) => {
            return Err(format!("{region:?} isn't a region such as eu-central-1").into());
        }
        (None, Some(_)) => ANY_REGION.to_owned(),
        (None, None) => {
            return Err(format!("{address}: name the bucket's region with --s3-region, backup_s3_region or AWS_REGION").into());
        }
    };
    let usual = match &place {
        // Of the names with dots the certificate of AWS does not cover.
        None if !bucket.contains('.') => S3Addressing::VirtualHost,
        _ => S3Addressing::Path,
    };
    let by_host = settings.addressing.unwrap_or(usual) == S3Addressing::VirtualHost;
    let service = match &place {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&region)
        .with_virtual_hosted_style_request(by_host)
        // A request a file: not every service has the other one.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        })
        .with_client_options(
            ClientOptions::new()
                .with_timeout_disabled()
                .with_connect_timeout(CONNECT_TIMEOUT)
                .with_read_timeout(READ_TIMEOUT)
                .with_allow_http(place.as_ref().is_some_and(|url| url.scheme() == "http")),
        );
    if let Some(mut url) = place {
        if by_host {
            let host = url.domain().map(|host| format!("{bucket}.{host}"));
            let host =
                host.ok_or("--s3-addressing virtual-host needs an endpoint with a host name")?;
            url.set_host(Some(&host))?;
        }
        builder = builder.with_endpoint(url.as_str().trim_end_matches('/'));
    }
    for (name, key) in [
        ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
        ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
        ("AWS_SESSION_TOKEN", Key::Token),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
        ("AWS_ROLE_ARN", Key::RoleArn),
        ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
        ("AWS_ENDPOINT_URL_STS", Key::StsEndpoint),
        (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            Key::ContainerCredentialsRelativeUri,
        ),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            Key::ContainerCredentialsFullUri,
        ),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            Key::ContainerAuthorizationTokenFile,
        ),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Key::MetadataEndpoint),
    ] {
        if let Some(value) = aws_variable(name) {
            if matches!(
                key,
                Key::ContainerCredentialsFullUri | Key::MetadataEndpoint
            ) {
                credentials_endpoint(name, &value)?;
            }
            builder = builder.with_config(key, value);
        }
    }
    let elsewhere = [
        Key::AccessKeyId,
        Key::SecretAccessKey,
        Key::WebIdentityTokenFile,
        Key::ContainerCredentialsRelativeUri,
        Key::ContainerCredentialsFullUri,
    ];
    let given = elsewhere
        .iter()
        .any(|key| builder.get_config_value(key).is_some());
    let no_metadata = aws_variable("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if !given && no_metadata {
        return Err(format!(
            "no credentials for {address}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_EC2_METADATA_DISABLED forbids to \
             ask the machine for a role"
        )
        .into());
    }
    Ok((builder, service))
}

/// What lies at the bottom of an error, without the body of an answer.
fn cause(error: &object_store::Error) -> String {
    let mut bottom: &dyn std::error::Error = error;
    while let Some(below) = bottom.source() {
        bottom = below;
    }
    let text = bottom.to_string();
    let text = match text.split_once("status code: ") {
        Some((_, status)) => format!(
            "the service answered {}",
            status.split(": ").next().unwrap_or_default()
        ),
        None => text,
    };
    let line = text.lines().next().unwrap_or_default();
    line.split('<')
        .next()
        .unwrap_or_default()
        .trim_end_matches([' ', ':'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<Option<Address>, Fault> {
        Address::read(Path::new(text))
    }

    #[test]
    fn address_is_a_bucket_and_a_path() {
        for (text, shown) in [
            ("s3://backups", "s3://backups"),
            ("s3://backups/", "s3://backups"),
            ("s3://backups/a/b/", "s3://backups/a/b"),
            (
                "s3://back.ups/a-b_c.sqlite.age",
                "s3://back.ups/a-b_c.sqlite.age",
            ),
        ] {
            let read = address(text).unwrap().unwrap();
            assert_eq!(read.to_string(), shown);
            assert_eq!(read.below("x").to_string(), format!("{shown}/x"));
        }
        for here in ["/s3://backups", "s3/backups", "s3:/backups"] {
            assert!(address(here).unwrap().is_none(), "{here}");
        }
        let words = "
            s3:// s3:///key s3://id:hunter2@backups/a s3://backups/a//b s3://backups/../b";
        for bad in words.split_whitespace() {
            let told = address(bad).unwrap_err().to_string();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn bucket_is_in_the_host_at_aws_and_in_the_path_elsewhere() {
        use S3Addressing::{Path, VirtualHost};
        let at = "https://s3.example.com:9000/";
        for (bucket, place, addressing, by_host, told) in [
            ("backups", None, None, "true", None),
            ("back.ups", None, None, "false", None),
            ("backups", None, Some(Path), "false", None),
            (
                "backups",
                Some(at),
                None,
                "false",
                Some("https://s3.example.com:9000"),
            ),
            (
                "backups",
                Some(at),
                Some(VirtualHost),
                "true",
                Some("https://backups.s3.example.com:9000"),
            ),
        ] {
            let settings = S3Settings {
                endpoint: place.map(str::to_owned),
                region: Some("eu-central-1".to_owned()),
                addressing,
            };
            let address = address(&format!("s3://{bucket}/a")).unwrap().unwrap();
            let (builder, _) = builder(&address, &settings).unwrap();
            let of = |key| builder.get_config_value(&key);
            assert_eq!(
                of(Key::VirtualHostedStyleRequest).as_deref(),
                Some(by_host),
                "{bucket} {place:?}"
            );
            assert_eq!(of(Key::Endpoint).as_deref(), told, "{bucket} {place:?}");
        }
    }
}
