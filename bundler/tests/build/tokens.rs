//! Logins and tokens: who gets them, and that nobody else does. The registries and token servers here are the test's
//! own, because none of the real ones lies so.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bundle::Digest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use crate::sandbox::{Finished, Sandbox, tool};
use crate::server::{Answer, Asked, Server, Stream};

/// base64 of me:hunter2
const BASIC: &str = "Basic bWU6aHVudGVyMg==";

/// Serves an image without layers to whoever has the token `good`; the challenge comes from the request.
fn image(asked: &Asked, challenge: impl Fn(&Asked) -> Vec<String>) -> Answer {
    if asked
        .headers
        .get("authorization")
        .is_none_or(|value| value != "Bearer good")
    {
        return challenge(asked)
            .into_iter()
            .fold(Answer::new(401, "{}"), |answer, line| {
                answer.header("WWW-Authenticate", line)
            });
    }
    open_image(asked)
}

fn open_image(asked: &Asked) -> Answer {
    let config =
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = config.to_string();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(),
            "digest": Digest::of(&config).to_string()}});
    if asked.path.contains("/blobs/") {
        return Answer::new(200, config);
    }
    Answer::new(200, manifest.to_string()).header("Content-Type", media_type)
}

fn bearer(asked: &Asked) -> String {
    let host = &asked.headers["host"];
    format!(r#"Bearer realm="http://{host}/token",service="kit""#)
}

/// Builds one image of a server that speaks plain HTTP, with or without a login of the spec.
fn build(sandbox: &Sandbox, server: &Server, repository: &str, login: bool) -> Finished {
    let address = server.address();
    sandbox.write("password", b"hunter2\n");
    let login = if login {
        ", username: me, passwordFile: password"
    } else {
        ""
    };
    sandbox.spec(&format!(
        "images: ['{address}/{repository}:1']\nregistries: {{\"{address}\": {{plainHttp: true{login}}}}}\n"
    ));
    sandbox.run(&["build", "-o", "site.tar"])
}

fn assert_built(built: &Finished) {
    assert_eq!(built.code, Some(0), "{}", built.stderr);
}

/// Asserts that a build failed, that it said so in these words, and that it quoted no secret.
fn assert_refused(built: &Finished, words: &[&str]) {
    assert_eq!(built.code, Some(2), "{}", built.stderr);
    for word in words {
        assert!(
            built.stderr.contains(word),
            "{word:?} is not in: {}",
            built.stderr
        );
    }
    for secret in ["hunter2", "bWU6aHVudGVyMg"] {
        assert!(!built.stderr.contains(secret), "{}", built.stderr);
    }
}

/// Makes a certificate as Docker's manual does: it says of itself that it is a CA.
fn self_signed(sandbox: &Sandbox) -> Arc<rustls::ServerConfig> {
    let subject = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ];
    let request = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
    ];
    let arguments = [&request[..], &["-days", "30"], &subject].concat();
    tool("openssl", &arguments, &sandbox.path(""));
    let certificate = CertificateDer::from_pem_file(sandbox.path("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(sandbox.path("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

fn behind_tls(
    config: Arc<rustls::ServerConfig>,
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> Server {
    let wrap = move |tcp: TcpStream| -> Option<Box<dyn Stream>> {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).ok()?;
        Some(Box::new(rustls::StreamOwned::new(connection, tcp)))
    };
    Server::wrapped(wrap, answer)
}

fn with_ca(sandbox: &Sandbox, server: &Server, ca: &str) -> Finished {
    let port = server.address().port();
    sandbox.write("password", b"hunter2\n");
    sandbox.spec(&format!(
        "images: ['localhost:{port}/x/y:1']\n\
         registries: {{\"localhost:{port}\": {{ca: {ca}, username: me, passwordFile: password}}}}\n"
    ));
    sandbox.run(&["build", "-o", "site.tar"])
}

#[test]
fn a_password_never_goes_to_a_token_server_without_tls() {
    let sandbox = Sandbox::new();
    let plain = Server::new(|_| Answer::new(200, r#"{"token":"good"}"#));
    let realm = format!("http://{}/token", plain.address());
    let shown = realm.clone();
    let registry = behind_tls(self_signed(&sandbox), move |asked| {
        image(asked, |_| vec![format!(r#"Bearer realm="{realm}",service="x""#)])
    });
    let built = with_ca(&sandbox, &registry, "cert.pem");
    assert_refused(&built, &[&shown, "no TLS", "external_url", "X-Forwarded-Proto"]);
    assert!(plain.asked().is_empty(), "{:?}", plain.asked());
}

#[test]
fn a_certificate_that_is_named_byte_for_byte_is_taken_and_no_other_is() {
    let (sandbox, other) = (Sandbox::new(), Sandbox::new());
    let registry = behind_tls(self_signed(&sandbox), open_image);
    assert_built(&with_ca(&sandbox, &registry, "cert.pem"));
    drop(self_signed(&other));
    fs::copy(other.path("cert.pem"), sandbox.path("other.pem")).unwrap();
    sandbox.forget();
    let built = with_ca(&sandbox, &registry, "other.pem");
    assert_refused(&built, &["certificate", "hint"]);
    // Its own certificate, but not for this name.
    let port = registry.address().port();
    sandbox.spec(&format!(
        "images: ['127.0.0.2:{port}/x/y:1']\nregistries: {{\"127.0.0.2:{port}\": {{ca: cert.pem}}}}\n"
    ));
    let built = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(built.code, Some(2), "{}", built.stderr);
}

#[test]
fn realms_that_lead_elsewhere_are_refused_and_named() {
    for (realm, words) in [
        ("http://169.254.169.254/latest/token", "link-local"),
        ("http://[fe80::1]/token", "link-local"),
        ("http://0.0.0.0:1/token", "no address of a server"),
        ("http://you:secret@127.0.0.1:1/token", "has a user in it"),
        ("ftp://127.0.0.1/token", "no http or https URL"),
        ("/token", "no http or https URL"),
    ] {
        let line = format!(r#"Bearer realm="{realm}""#);
        let server = Server::new(move |asked| image(asked, |_| vec![line.clone()]));
        assert_refused(
            &build(&Sandbox::new(), &server, "x", true),
            &["nothing was sent there", words],
        );
    }
}

#[test]
fn bearer_is_found_behind_other_challenges() {
    for login in [false, true] {
        let server = Server::new(|asked| {
            if asked.path.starts_with("/token?") {
                return Answer::new(200, r#"{"token":"good"}"#);
            }
            image(asked, |asked| {
                vec![
                    "Negotiate".to_owned(),
                    r#"Basic realm="kit""#.to_owned(),
                    bearer(asked),
                ]
            })
        });
        assert_built(&build(&Sandbox::new(), &server, "two/plain", login));
        let asked = server.asked();
        let token = asked
            .iter()
            .find(|asked| asked.path.starts_with("/token?"))
            .unwrap();
        assert_eq!(
            token.headers.get("authorization").map(String::as_str),
            login.then_some(BASIC)
        );
        assert!(
            token
                .path
                .contains("service=kit&scope=repository%3Atwo%2Fplain%3Apull"),
            "{}",
            token.path
        );
        // The password itself goes to the token server alone.
        let others = asked.iter().filter(|asked| !asked.path.starts_with("/token?"));
        assert!(
            others
                .clone()
                .all(|asked| asked.headers.get("authorization").is_none_or(|v| v != BASIC))
        );
        assert!(others.count() >= 3);
    }
}

#[test]
fn basic_is_answered_where_it_is_all_there_is() {
    let server = Server::new(|asked| match asked.headers.get("authorization") {
        Some(value) if value == BASIC => open_image(asked),
        _ => Answer::new(401, "{}").header("WWW-Authenticate", r#"Negotiate, Basic realm="kit""#),
    });
    assert_built(&build(&Sandbox::new(), &server, "x", true));
    let refused = build(&Sandbox::new(), &server, "x", false);
    assert_refused(&refused, &["it wants a login"]);
}

#[test]
fn the_refused_request_itself_says_how_to_log_in() {
    // The root is open, as zot's and Nexus' is: it says nothing of tokens.
    let server = Server::new(|asked| match asked.path.as_str() {
        "/v2/" => Answer::new(200, "{}"),
        path if path.starts_with("/token?") => {
            let scope = path.contains("scope=repository%3Aother%3Apull");
            Answer::new(
                if scope { 200 } else { 403 },
                r#"{"access_token":"good","expires_in":null}"#,
            )
        }
        _ => image(asked, |asked| {
            vec![format!("{},scope=\"repository:other:pull\"", bearer(asked))]
        }),
    });
    assert_built(&build(&Sandbox::new(), &server, "closed/plain", false));
}

#[test]
fn a_token_server_in_trouble_is_asked_again() {
    let asked = AtomicU64::new(0);
    let server = Server::new(move |request| {
        if request.path.starts_with("/token?") {
            return match asked.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Answer::new(503, r#"{"errors":[{"code":"UNAVAILABLE"}]}"#),
                _ => Answer::new(200, r#"{"token":"good"}"#),
            };
        }
        image(request, |asked| vec![bearer(asked)])
    });
    assert_built(&build(&Sandbox::new(), &server, "closed/plain", false));
}

#[test]
fn token_servers_that_lie_are_refused_in_their_own_words() {
    let cases: [(Answer, &str); 7] = [
        (
            Answer {
                endless: true,
                ..Answer::new(200, vec![b'A'; 1 << 20])
            },
            "longer than 1048576 bytes",
        ),
        (
            Answer::new(302, "").header("Location", "http://127.0.0.1:9/elsewhere"),
            "it redirects, and no login is sent on",
        ),
        (Answer::new(200, "<html>log in</html>"), "its answer is no token"),
        (
            Answer::new(200, r#"{"token": ["hunter2"]}"#),
            "its answer is no token",
        ),
        (Answer::new(200, r#"{"token":null}"#), "its answer holds none"),
        (
            Answer::new(200, r#"{"token":"a\nb"}"#),
            "none that a header can carry",
        ),
        (
            Answer::new(403, format!("you sent {BASIC}, me:hunter2")),
            "you sent Basic ***",
        ),
    ];
    for (answer, words) in cases {
        let server = Server::new(move |asked| {
            if asked.path.starts_with("/token?") {
                return answer.clone();
            }
            image(asked, |asked| vec![bearer(asked)])
        });
        let begun = Instant::now();
        assert_refused(&build(&Sandbox::new(), &server, "x", true), &[words]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{words}");
    }
}

#[test]
fn a_login_that_is_refused_for_a_public_image_is_told_how_to_go() {
    let server = Server::new(|asked| {
        if asked.path.starts_with("/token?") {
            return Answer::new(401, r#"{"errors":[{"code":"DENIED","message":"expired"}]}"#);
        }
        image(asked, |asked| vec![bearer(asked)])
    });
    let logout = format!("docker logout {}", server.address());
    assert_refused(
        &build(&Sandbox::new(), &server, "x", true),
        &["DENIED: expired", &logout],
    );
}

#[test]
fn a_token_that_ended_is_replaced() {
    // Each token is good for two requests.
    let state = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let server = Server::new(move |asked| {
        let (given, used) = &*state;
        if asked.path.starts_with("/token?") {
            used.store(0, Ordering::Relaxed);
            let number = given.fetch_add(1, Ordering::Relaxed) + 1;
            return Answer::new(200, format!(r#"{{"token":"t{number}","expires_in":3600}}"#));
        }
        let current = format!("Bearer t{}", given.load(Ordering::Relaxed));
        if asked.headers.get("authorization") == Some(&current) && used.fetch_add(1, Ordering::Relaxed) < 1 {
            return open_image(asked);
        }
        Answer::new(401, "{}").header("WWW-Authenticate", bearer(asked))
    });
    assert_built(&build(&Sandbox::new(), &server, "x", false));
}

#[test]
fn behind_a_registry_s_name_another_registry_is_asked_without_our_login() {
    let real = Server::new(|asked| {
        if asked.path.starts_with("/token?") {
            return Answer::new(200, r#"{"token":"good"}"#);
        }
        image(asked, |asked| vec![bearer(asked)])
    });
    let target = real.address();
    let vanity = Server::new(move |asked| {
        Answer::new(307, "").header("Location", format!("http://{target}{}", asked.path))
    });
    assert_built(&build(&Sandbox::new(), &vanity, "x", true));
    for asked in real.asked() {
        assert_ne!(
            asked.headers.get("authorization").map(String::as_str),
            Some(BASIC),
            "{asked:?}"
        );
    }
}

#[test]
fn credentials_of_another_path_are_not_sent() {
    let server = Server::new(|asked| {
        if asked.path.starts_with("/token?") {
            return Answer::new(200, r#"{"token":"good"}"#);
        }
        image(asked, |asked| vec![bearer(asked)])
    });
    let address = server.address();
    // a:secret-of-a and b:secret-of-b
    let config = json!({"auths": {
        format!("{address}/team-a"): {"auth": "YTpzZWNyZXQtb2YtYQ=="},
        format!("{address}/team-b"): {"auth": "YjpzZWNyZXQtb2YtYg=="},
    }});
    for (repository, expected) in [
        ("team-b/plain", Some("Basic YjpzZWNyZXQtb2YtYg==")),
        ("team-a/plain", Some("Basic YTpzZWNyZXQtb2YtYQ==")),
        ("team-c/plain", None),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(".docker/config.json", config.to_string().as_bytes());
        assert_built(&build(&sandbox, &server, repository, false));
        let asked = server.asked();
        let token = asked
            .iter()
            .rfind(|asked| asked.path.starts_with("/token?"))
            .unwrap();
        assert_eq!(
            token.headers.get("authorization").map(String::as_str),
            expected,
            "{repository}"
        );
    }
}

/// Installs a credential helper that notes each run.
fn helper(sandbox: &Sandbox, script: &str) {
    let text = format!(
        "#!/bin/sh\necho run >> {}\n{script}\n",
        sandbox.path("runs").display()
    );
    sandbox.write("bin/docker-credential-test", text.as_bytes());
    let path = sandbox.path("bin/docker-credential-test");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write(".docker/config.json", br#"{"credsStore": "test"}"#);
}

#[test]
fn a_credential_helper_runs_once_a_host() {
    let sandbox = Sandbox::new();
    helper(&sandbox, r#"echo '{"Username": "me", "Secret": "hunter2"}'"#);
    let server = Server::new(|asked| {
        if asked.path.starts_with("/token?") {
            return Answer::new(200, r#"{"token":"good"}"#);
        }
        image(asked, |asked| vec![bearer(asked)])
    });
    let address = server.address();
    sandbox.spec(&format!(
        "images: ['{address}/a:1', '{address}/b:1', '{address}/c/d:1']\nregistries: {{\"{address}\": {{plainHttp: true}}}}\n"
    ));
    assert_built(&sandbox.run(&["build", "-o", "site.tar"]));
    assert_eq!(fs::read_to_string(sandbox.path("runs")).unwrap(), "run\n");
    assert!(
        server
            .asked()
            .iter()
            .any(|asked| asked.headers.get("authorization").is_some_and(|v| v == BASIC))
    );
}

#[test]
fn helpers_that_fail_hang_or_talk_are_named_and_not_quoted() {
    let secret = r#"{"Username": "me", "Secret": "hunter2"}"#;
    for (script, words) in [
        (format!("echo '{secret}'; exit 1"), "failed: `echo"),
        (
            r#"echo '{"Username": "me", "Secret": {"hunter2": 1}}'"#.to_owned(),
            "cannot be understood",
        ),
        (format!("echo '{secret} hunter2'"), "cannot be understood"),
        ("yes hunter2".to_owned(), "too long"),
        ("sleep 300".to_owned(), "within 30 s"),
    ] {
        let sandbox = Sandbox::new();
        helper(&sandbox, &script);
        let server = Server::new(open_image);
        let begun = Instant::now();
        assert_refused(
            &build(&sandbox, &server, "x", false),
            &["docker-credential-test", words, "hint"],
        );
        assert!(begun.elapsed() < Duration::from_mins(1), "{script}");
    }
}

#[test]
fn a_broken_file_of_logins_is_not_quoted() {
    let server = Server::new(open_image);
    for broken in [
        r#"{"auths":{"r":"bWU6aHVudGVyMg=="}}"#,
        r#"{"auths":{"r":{"auth":"bWU6aHVudGVyMg=="#,
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(".docker/config.json", broken.as_bytes());
        assert_refused(&build(&sandbox, &server, "x", false), &["config.json", "line 1"]);
    }
    let sandbox = Sandbox::new();
    sandbox.write(".docker/x", b"");
    tool("mkfifo", &[".docker/config.json"], &sandbox.path(""));
    assert_refused(&build(&sandbox, &server, "x", false), &["no regular file"]);
    std::io::stderr().flush().unwrap();
}

#[test]
fn a_token_of_the_file_is_sent_as_it_is() {
    let server = Server::new(|asked| match asked.headers.get("authorization") {
        Some(value) if value == "Bearer good" => open_image(asked),
        // Some registries refuse without a word.
        _ => Answer::new(401, ""),
    });
    let sandbox = Sandbox::new();
    let config = json!({"auths": {server.address().to_string(): {"registrytoken": "good"}}});
    sandbox.write(".docker/config.json", config.to_string().as_bytes());
    assert_built(&build(&sandbox, &server, "x", false));
    assert_refused(
        &build(&Sandbox::new(), &server, "x", true),
        &["the login is not accepted"],
    );
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    // Tokens live for two seconds, and the registry takes its time with each answer.
    let given = Arc::new(std::sync::Mutex::new(Vec::<Instant>::new()));
    let (shared, late) = (Arc::clone(&given), Arc::new(AtomicU64::new(0)));
    let ended = Arc::clone(&late);
    let server = Server::new(move |asked| {
        if asked.path.starts_with("/token?") {
            let mut given = shared.lock().unwrap();
            given.push(Instant::now());
            return Answer::new(
                200,
                format!(r#"{{"token":"t{}","expires_in":2}}"#, given.len() - 1),
            );
        }
        let number = asked
            .headers
            .get("authorization")
            .and_then(|value| value.strip_prefix("Bearer t"));
        let Some(number) = number.and_then(|number| number.parse::<usize>().ok()) else {
            return Answer::new(401, "{}").header("WWW-Authenticate", bearer(asked));
        };
        if shared.lock().unwrap()[number].elapsed() > Duration::from_secs(2) {
            late.fetch_add(1, Ordering::Relaxed);
            return Answer::new(401, "{}").header("WWW-Authenticate", bearer(asked));
        }
        std::thread::sleep(Duration::from_millis(1700));
        open_image(asked)
    });
    assert_built(&build(&Sandbox::new(), &server, "x", false));
    assert!(given.lock().unwrap().len() > 1, "one token did for all");
    assert_eq!(ended.load(Ordering::Relaxed), 0, "a token was sent after its end");
}
