//! What is allowed and risky in a configuration: warned of by `tokenward config check` and at each start.

use super::Config;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// A network of trusted proxies with fewer fixed bits than these holds more than proxies, most likely.
const PROXY_BITS_MIN: (u8, u8) = (24, 120);

/// Mode bits of the owning group and of all other users.
const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;

impl Config {
    /// What is risky, one sentence each.
    #[must_use]
    pub fn risks(&self) -> Vec<String> {
        let mut risks = Vec::new();
        let open = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
        if open(self.public) && !self.public_has_tls() {
            risks.push(format!(
                "public ({}) can be reached from other machines and has no TLS: client secrets and access tokens can be \
                 read on the way. Set public_tls_certificate and public_tls_key, or acme_domains, or listen on a loopback address behind \
                 a proxy that ends TLS",
                self.public
            ));
        }
        if open(self.internal) && self.internal_tls.is_none() {
            risks.push(format!(
                "internal ({}) can be reached from other machines and has no TLS: access tokens can be read on the way. \
                 Set internal_tls_certificate and internal_tls_key, or listen on a loopback address",
                self.internal
            ));
        }
        let authority = self.internal_tls.as_ref();
        let known = authority.is_some_and(|tls| tls.client_authority.is_some());
        if open(self.internal) && self.internal_auth.is_none() && !known {
            risks.push(format!(
                "internal ({}) can be reached from other machines and has no internal_auth_file: every caller may \
                 introspect tokens. Set internal_auth_file, or internal_client_authority and internal_callers, or let only gateways \
                 reach this port",
                self.internal
            ));
        }
        if self.mail_url.is_some() && self.public_url.is_none() {
            risks.push(
                "mail_url is set and public_url is not: no confirmation link can be sent, so new notification addresses \
                 stay pending and get no notices. Set public_url to the address this server is reached at"
                    .to_owned(),
            );
        }
        if self.acme.is_some() && self.database_url.is_some() {
            risks.push(
                "acme_domains and database_url are set: each node of a database orders a certificate of its own, and behind a \
                 load balancer the challenge can reach another node, so that orders fail. With several nodes set \
                 public_tls_certificate, or let the load balancer hold the certificate"
                    .to_owned(),
            );
        }
        let transport = self.transport();
        risks.extend(transport.plain.iter().map(|server| {
            format!(
                "database_url: the connection to {server} has no TLS (sslmode=disable): the password and all data can be read \
                 and changed on the way. Use sslmode=verify-full"
            )
        }));
        risks.extend(transport.unverified.iter().map(|server| {
            format!(
                "database_url: the certificate of {server} is not verified (sslmode=require): another server can take its \
                 place. Use sslmode=verify-full"
            )
        }));
        risks.extend(self.trusted_proxies.iter().filter_map(wide));
        risks.extend(self.files());
        risks.extend(passwords(std::env::args()));
        risks
    }

    /// How PostgreSQL is reached; nothing when the URL can't be used, which the start says.
    fn transport(&self) -> tokenward_store::Transport {
        let url = self.database_url.as_ref();
        let read = url.map(|url| tokenward_store::transport(url));
        read.transpose().ok().flatten().unwrap_or_default()
    }

    /// Files that users of this machine may read or write who should not.
    fn files(&self) -> impl Iterator<Item = String> {
        let data = |name: &str| self.data_dir.join(name);
        let own = rustix::process::getegid().as_raw();
        let folder = std::fs::metadata(&self.data_dir).ok();
        let folder = folder.and_then(|about| {
            let (mode, group) = (about.permissions().mode() & 0o777, about.gid());
            let who = writers(mode, group, own)?;
            let path = self.data_dir.display();
            Some(format!(
                "the data directory {path} can be written by {who} (mode {mode:03o}). Run chmod 700 {path}"
            ))
        });
        let keys = [&self.public_tls, &self.internal_tls];
        let keys = keys.into_iter().flatten().map(|tls| tls.key.clone());
        let secrets = [
            self.digest_keys.clone(),
            data(crate::config::data_dir::ADMIN_KEY),
            data(crate::config::data_dir::CONSOLE_LINK),
            data(crate::config::data_dir::DATABASE),
        ];
        let given = self.secret_files.iter().cloned();
        let files = secrets.into_iter().chain(keys).chain(given);
        let files = files.chain(self.transport().key);
        folder
            .into_iter()
            .chain(files.filter_map(|path| readable(&path)))
    }
}

/// A warning about a file that every user of this machine may read.
fn readable(path: &Path) -> Option<String> {
    let path = Some(path).filter(|path| crate::config::data_dir::is_readable_by_all(path))?;
    let path = path.display();
    Some(format!(
        "{path}: every user of this machine can read it. Make it private with chmod 600 {path}"
    ))
}

/// Who besides its owner may write into a folder of this mode and group; none where it is only this process's own group.
fn writers(mode: u32, group: u32, own: u32) -> Option<String> {
    if mode & OTHERS_MAY_WRITE != 0 {
        return Some("every user of this machine".to_owned());
    }
    let others = mode & GROUP_MAY_WRITE != 0 && group != own;
    others.then(|| format!("all users of group {group}, which is not this process's own"))
}

/// A warning about each password in a URL among the words of a command line.
fn passwords(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut flag = String::new();
    let mut found = Vec::new();
    for word in words {
        let value = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                name.clone_into(&mut flag);
                value
            }
            _ => word.as_str(),
        };
        let user = value
            .split_once("://")
            .and_then(|(_, rest)| rest.rsplit_once('@'));
        if user.is_some_and(|(user, _)| user.contains(':')) {
            found.push(format!(
                "{flag}: every user of this machine can read the password on the command line. Write the URL into a \
                 private file and name it with {flag}-file"
            ));
        } else if word.starts_with("--") && !word.contains('=') {
            flag = word;
        }
    }
    found
}

/// A warning about a range of trusted proxies that holds more than proxies, most likely. The loopback network is one
/// machine.
fn wide(network: &IpNet) -> Option<String> {
    let (least, loopback) = match network {
        IpNet::V4(net) => (
            PROXY_BITS_MIN.0,
            net.addr().is_loopback() && net.prefix_len() >= 8,
        ),
        IpNet::V6(_) => (PROXY_BITS_MIN.1, false),
    };
    (network.prefix_len() < least && !loopback).then(|| {
        format!(
            "trusted_proxies: {network} is a whole network. Every host in it can choose the address it calls from, and so \
             pass secret_networks, token_networks and the limits on guessing. Name the proxies only, such as 10.0.0.4"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_another_group_that_may_write_is_warned_of() {
        let all = Some("every user of this machine".to_owned());
        let group = Some("all users of group 7, which is not this process's own".to_owned());
        for (mode, gid, told) in [
            (0o700, 7, None),
            (0o750, 7, None),
            (0o770, 5, None),
            (0o2770, 5, None),
            (0o770, 7, group.clone()),
            (0o730, 7, group),
            (0o702, 5, all.clone()),
            (0o777, 7, all),
        ] {
            assert_eq!(writers(mode, gid, 5), told, "{mode:o} {gid}");
        }
    }

    #[test]
    fn wide_networks_of_proxies_are_warned_of() {
        let told = |text: &str| wide(&text.parse().unwrap()).is_some();
        for whole in "10.0.0.0/8 0.0.0.0/0 10.0.0.0/23 ::/0 fd00::/64".split(' ') {
            assert!(told(whole), "{whole}");
        }
        for narrow in "10.0.0.0/24 10.0.0.7/32 127.0.0.0/8 fd00::/120 ::1/128".split(' ') {
            assert!(!told(narrow), "{narrow}");
        }
    }

    #[test]
    fn passwords_on_the_command_line_are_warned_of() {
        for (line, flags) in [
            ("tokenward serve --mail-url=smtp://u:p@h", "--mail-url"),
            (
                "tokenward serve --database-url postgres://u:p%40@h:5/d --public=[::1]:80",
                "--database-url",
            ),
            (
                "tokenward serve --database-url postgres://u@h:5432/d --public-url=https://h:8443/",
                "",
            ),
            ("tokenward serve --database-url-file /a:b@c", ""),
        ] {
            let found = passwords(line.split(' ').map(str::to_owned));
            let told: Vec<&str> = found
                .iter()
                .filter_map(|one| one.split(": ").next())
                .collect();
            assert_eq!(told.join(" "), flags, "{line}");
            assert!(!found.concat().contains("u:p"), "{found:?}");
        }
    }
}
