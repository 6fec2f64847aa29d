//! Reads a kubeconfig. What is wrong with one is told by place and field, never in a parser's words: those quote the
//! lines around the fault, and in a kubeconfig these are keys and tokens.

use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::UserFile;
use kube::client::{AuthError, ClientBuilder, RustlsTlsError};
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError};
use kube::{Client, Config};
use secrecy::{ExposeSecret as _, SecretString};
use secrets::Wiped;
use yaml::{Node, Value};

use super::ClusterError;
use super::asked::Asked;
use super::detour::{self, Detour};
use super::limits::Limit;

const KUBECONFIG: UserFile = UserFile::new("a kubeconfig", 8 << 20);
/// What a kubeconfig names: certificates of CAs, as many as an operating system trusts.
const CERTIFICATES: UserFile = UserFile::new("a file of certificates", 4 << 20);
const KEY: UserFile = UserFile::new("a private key", 1 << 20);
const TOKEN: UserFile = UserFile::new("a token", 64 << 10);

/// The fields of a kubeconfig that a message may name. What else stands where a field should may be a secret.
const FIELDS: [&str; 45] = [
    "apiVersion",
    "kind",
    "preferences",
    "colors",
    "current-context",
    "clusters",
    "cluster",
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "proxy-url",
    "disable-compression",
    "tls-server-name",
    "contexts",
    "context",
    "namespace",
    "users",
    "user",
    "name",
    "username",
    "password",
    "token",
    "tokenFile",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
    "auth-provider",
    "config",
    "exec",
    "command",
    "args",
    "env",
    "value",
    "installHint",
    "interactiveMode",
    "provideClusterInfo",
    "extensions",
    "extension",
    "drop_env",
];

/// Reads a kubeconfig, its current context. Proxies of the environment are ignored.
pub(super) async fn read(path: &Path) -> Result<Config, ClusterError> {
    let bad = |reason: String| ClusterError::Kubeconfig {
        path: path.to_owned(),
        reason,
    };
    let text = text(path).map_err(|error| bad(system(&error)))?;
    let mut parsed = Kubeconfig::read_from(path).map_err(|error| bad(parse_reason(&error, &text)))?;
    read_named(&mut parsed).map_err(bad)?;
    let proxied = parsed.clusters.iter().any(|named| {
        let cluster = named.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.proxy_url.is_some())
    });
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|error| bad(parse_reason(&error, &text)))?;
    if !proxied {
        config.proxy_url = None;
    }
    if let Some(exec) = &mut config.auth_info.exec {
        // What a plugin writes to stderr would reach the terminal past us, and may be the secret that it got.
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    Ok(config)
}

fn text(path: &Path) -> io::Result<Wiped<String>> {
    let bytes = Wiped::new(KUBECONFIG.read(path)?);
    Ok(Wiped::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Reads what the current context names beside the kubeconfig: kube would read it whatever it is and however long.
fn read_named(config: &mut Kubeconfig) -> Result<(), String> {
    let current = config.current_context.clone().unwrap_or_default();
    let named = config.contexts.iter().find(|named| named.name == current);
    let Some(context) = named.and_then(|named| named.context.clone()) else {
        return Ok(());
    };
    let failed = |owner: &'static str, field: &'static str| {
        move |source: io::Error| data(owner, field, &LoadDataError::ReadFile(source, PathBuf::new()))
    };
    let clusters = config
        .clusters
        .iter_mut()
        .filter(|named| named.name == context.cluster);
    for cluster in clusters.filter_map(|named| named.cluster.as_mut()) {
        if let (Some(path), None) = (
            &cluster.certificate_authority,
            &cluster.certificate_authority_data,
        ) {
            let pem = CERTIFICATES.read(Path::new(path));
            let pem = pem.map_err(failed("cluster", "certificate-authority"))?;
            cluster.certificate_authority_data = Some(STANDARD.encode(pem));
        }
    }
    let user = context.user.unwrap_or_default();
    let users = config.auth_infos.iter_mut().filter(|named| named.name == user);
    for user in users.filter_map(|named| named.auth_info.as_mut()) {
        if let (Some(path), None) = (&user.client_certificate, &user.client_certificate_data) {
            let pem = CERTIFICATES.read(Path::new(path));
            let pem = pem.map_err(failed("user", "client-certificate"))?;
            user.client_certificate_data = Some(STANDARD.encode(pem));
        }
        if let (Some(path), None) = (&user.client_key, &user.client_key_data) {
            let pem = KEY.read(Path::new(path)).map_err(failed("user", "client-key"))?;
            let pem = Wiped::new(pem);
            user.client_key_data = Some(SecretString::from(STANDARD.encode(&*pem)));
        }
        if let (Some(path), None) = (&user.token_file, &user.token) {
            // kube reads it again and again; that it is a short file is seen once.
            let token = TOKEN.read(Path::new(path));
            drop(Wiped::new(token.map_err(|error| token_file(&error))?));
        }
    }
    Ok(())
}

fn token_file(error: &io::Error) -> String {
    format!("the file that tokenFile names cannot be read: {}", system(error))
}

/// The words of the system for an error; a library's own payload is left out.
fn system(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidData => "it is no text in UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

fn parse_reason(error: &KubeconfigError, text: &str) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let place = error
                .location()
                .map(|location| (location.line(), location.column()));
            not_understood(place, text)
        }
        KubeconfigError::CurrentContextNotSet => "it has no current-context".to_owned(),
        KubeconfigError::LoadContext(_) => "current-context is no name of its contexts".to_owned(),
        KubeconfigError::LoadClusterOfContext(_) => {
            "the cluster of the current context is no name of its clusters".to_owned()
        }
        KubeconfigError::MissingClusterUrl => "the cluster of the current context has no server".to_owned(),
        KubeconfigError::ParseClusterUrl(_) => {
            "the server of the current context's cluster is no URL".to_owned()
        }
        KubeconfigError::ParseProxyUrl(_) => {
            "the proxy-url of the current context's cluster is no URL".to_owned()
        }
        KubeconfigError::LoadCertificateAuthority(error) => data("cluster", "certificate-authority", error),
        KubeconfigError::LoadClientCertificate(error) => data("user", "client-certificate", error),
        KubeconfigError::LoadClientKey(error) => data("user", "client-key", error),
        KubeconfigError::ParseCertificates(_) => {
            "certificate-authority-data of the current context's cluster holds no certificates in PEM"
                .to_owned()
        }
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "its documents are of different kinds or versions".to_owned()
        }
        KubeconfigError::ReadConfig(error, _) => system(error),
        KubeconfigError::FindPath => "it is not found".to_owned(),
    }
}

fn data(owner: &str, field: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => {
            format!("{field}-data of the current context's {owner} is not base64")
        }
        // Not the path: a key that was written in its place is one too.
        LoadDataError::ReadFile(source, _) => format!(
            "the file that {field} of the current context's {owner} names cannot be read: {}",
            system(source)
        ),
        LoadDataError::NoBase64DataOrFile => {
            format!("the current context's {owner} has neither {field}-data nor {field}")
        }
    }
}

/// Says where a kubeconfig is not understood: line and column, and the field where that much can be read.
fn not_understood(place: Option<(u64, u64)>, text: &str) -> String {
    match yaml::documents("", text) {
        // Not even YAML: the first place where it ends to be.
        Err(problems) => match problems.iter().next() {
            Some(problem) => format!(
                "line {}, column {}: it is no YAML there",
                problem.line, problem.column
            ),
            None => "it is no YAML".to_owned(),
        },
        Ok(documents) => {
            let Some((line, column)) = place.filter(|(line, _)| *line > 0) else {
                return "it has not the form of a kubeconfig".to_owned();
            };
            let at = (
                usize::try_from(line).unwrap_or(usize::MAX),
                usize::try_from(column).unwrap_or(usize::MAX),
            );
            let mut path = String::new();
            for document in &documents {
                follow(document, at, &mut path);
            }
            // Without a colon behind it, which would make the next word the value of a password.
            let field = match path.trim_start_matches('.') {
                "" => "this",
                field => field,
            };
            format!("line {line}, column {column}: {field} is not what a kubeconfig has there")
        }
    }
}

/// Appends the way from a node to the last of its children that begins at or before a place.
fn follow(node: &Node, at: (usize, usize), path: &mut String) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::Sequence(items) => {
            let before = |item: &Node| (item.place.line, item.place.column) <= at;
            if let Some(index) = items.iter().rposition(before) {
                // Writing to a String cannot fail.
                let _ = write!(path, "[{index}]");
                follow(&items[index], at, path);
            }
        }
        Value::Mapping(fields) => {
            let found = fields
                .iter()
                .rev()
                .find(|(key, _)| (key.place.line, key.place.column) <= at);
            if let Some((key, value)) = found {
                path.push('.');
                path.push_str(if FIELDS.contains(&key.value.as_str()) {
                    &key.value
                } else {
                    "?"
                });
                follow(value, at, path);
            }
        }
    }
}

/// What a header cannot carry, in the words of both ends of [`client`].
const NO_HEADER: &str = "the token has characters that a header cannot carry, for example a line feed";

/// Returns a client of the API server, or why none can be made. Runs the plugin that the kubeconfig may name.
pub(super) fn client(config: Config, detour: Option<Detour>, asked: Asked) -> Result<Client, String> {
    let fits = |token: &str| token.bytes().all(|byte| (32..127).contains(&byte));
    let token = config.auth_info.token.as_ref();
    if token.is_some_and(|token| !fits(token.expose_secret())) {
        return Err(NO_HEADER.to_owned());
    }
    // kube's layers panic on a token that is no header, and a plugin's token is seen by nobody before them.
    let make = || match detour {
        Some(detour) => detour::client(&config, detour, &Limit(asked)),
        None => limited(config, &Limit(asked)),
    };
    match catch_unwind(AssertUnwindSafe(make)) {
        Ok(client) => client.map_err(|error| client_reason(&error)),
        Err(_) => Err(NO_HEADER.to_owned()),
    }
}

/// Returns a client no answer of which is longer than it may be.
fn limited(config: Config, limit: &Limit) -> kube::Result<Client> {
    Ok(ClientBuilder::try_from(config)?.with_layer(limit).build())
}

/// Returns why no client can be made of a kubeconfig, in our own words where kube's may quote what it was given.
fn client_reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Auth(error) => auth_reason(error),
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            "the kubeconfig's proxy-url is of a protocol that is not supported".to_owned()
        }
        kube::Error::InferKubeconfig(error) => parse_reason(error, ""),
        kube::Error::RustlsTls(error) => match error {
            RustlsTlsError::InvalidIdentityPem(_) => "client-certificate or client-key is no PEM",
            RustlsTlsError::MissingPrivateKey => "client-key holds no private key in PEM",
            RustlsTlsError::MissingCertificate => "client-certificate holds no certificate in PEM",
            RustlsTlsError::InvalidPrivateKey(_) | RustlsTlsError::UnknownPrivateKeyFormat => {
                "client-key is no key that can be used, or not that of client-certificate"
            }
            RustlsTlsError::AddRootCertificate(_) => {
                "certificate-authority holds what is no certificate of a CA"
            }
            RustlsTlsError::NoValidNativeRootCA(_) => {
                "it has no certificate-authority, and this machine trusts none"
            }
            RustlsTlsError::InvalidServerName(_) => "tls-server-name is no name of a host",
        }
        .to_owned(),
        _ => "it cannot be used as it is".to_owned(),
    }
}

/// Returns why the user of a kubeconfig cannot log in. What a plugin wrote is never shown: it may be the credential.
pub(super) fn auth_reason(error: &AuthError) -> String {
    match error {
        AuthError::InvalidBasicAuth(_) => {
            "username or password has characters that a header cannot carry".to_owned()
        }
        AuthError::InvalidBearerToken(_) => NO_HEADER.to_owned(),
        AuthError::ReadTokenFile(source, _) => token_file(source),
        AuthError::AuthExecStart(source) => {
            format!(
                "the program that exec.command names cannot be run: {}",
                system(source)
            )
        }
        AuthError::AuthExecRun { out, .. } => {
            format!(
                "the program that exec.command names failed ({}); run it by hand to see why",
                out.status
            )
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            "the program that exec.command names gave no ExecCredential with a status".to_owned()
        }
        AuthError::MalformedTokenExpirationDate(_) => {
            "the time at which the token ends is no time".to_owned()
        }
        AuthError::MissingCommand => "exec has no command".to_owned(),
        AuthError::ParseTokenKey(_) => "the program of auth-provider gave no JSON".to_owned(),
        AuthError::AuthExec(_) => {
            "auth-provider is not supported, or gave no token; use a token or a client certificate".to_owned()
        }
        _ => "the login of its user cannot be used".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_followed_to_its_field_and_no_unknown_name_is_said() {
        let text = "users:\n- name: a\n- name: b\n  user:\n    TOKEN123: x\n    token: [y]\n";
        let said = not_understood(Some((6, 12)), text);
        assert_eq!(
            said,
            "line 6, column 12: users[1].user.token is not what a kubeconfig has there"
        );
        let said = not_understood(Some((5, 15)), text);
        assert_eq!(
            said,
            "line 5, column 15: users[1].user.? is not what a kubeconfig has there"
        );
        assert_eq!(
            not_understood(Some((1, 1)), "a: \"TOKEN123\n"),
            "line 1, column 4: it is no YAML there"
        );
    }
}
