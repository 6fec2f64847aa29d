//! Reports in their other forms, made by the program and read by those for whom they are: Chromium with axe-core, xmllint,
//! OpenSSH's ssh-keygen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "reports/browser.rs"]
mod browser;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use browser::Browser;

const FORMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forms");

fn verifier(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verifier"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn made(arguments: &[&str]) -> String {
    let output = verifier(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn sample() -> Value {
    let text = std::fs::read_to_string(format!("{FORMS}/report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Writes the sample as a site of 50 hosts with 3,000 results.
fn large(home: &Path) -> PathBuf {
    let mut report = sample();
    let results = report["results"].as_array().unwrap().clone();
    let host = report["hosts"][1].clone();
    let (mut hosts, mut all) = (Vec::new(), Vec::new());
    for at in 0..50 {
        let name = json!(format!("node-{at}.rack-{}", at % 7));
        let mut host = host.clone();
        host["name"] = name.clone();
        hosts.push(host);
        for number in 0..60 {
            let mut result = results[number % results.len()].clone();
            result["host"] = name.clone();
            result["id"] = json!(format!("{}-{number}", result["id"].as_str().unwrap()));
            for finding in result["findings"].as_array_mut().unwrap() {
                finding["cause"]["text"] =
                    json!(format!("{} ({at})", finding["cause"]["text"].as_str().unwrap()));
            }
            all.push(result);
        }
    }
    report["hosts"] = json!(hosts);
    report["results"] = json!(all);
    let path = home.join("large.json");
    std::fs::write(&path, report.to_string()).unwrap();
    path
}

#[test]
fn nobody_signs_what_was_altered_and_names_are_not_compared_with_pseudonyms() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/report");
    let copied = Command::new("cp").args(["-r", examples, &at("report")]).status();
    assert!(copied.unwrap().success());
    let made_key = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", &at("key")])
        .status();
    assert!(made_key.unwrap().success());
    let report = at("report/report.json");
    made(&[
        "report",
        "json",
        &report,
        "--redact",
        &at("names"),
        "-o",
        &at("redacted.json"),
    ]);
    let compared = verifier(&["report", "diff", &report, &at("redacted.json")]);
    assert_eq!(compared.status.code(), Some(64), "{compared:?}");

    let text = std::fs::read_to_string(&report).unwrap();
    std::fs::write(&report, text + "\n").unwrap();
    let signed = verifier(&["report", "sign", &at("report"), "--key", &at("key")]);
    assert_eq!(signed.status.code(), Some(2), "{signed:?}");
    assert!(
        String::from_utf8_lossy(&signed.stdout).contains("report.json"),
        "{signed:?}"
    );
    assert!(!home.path().join("report/SHA256SUMS.sig").exists());
}

#[test]
fn the_xml_is_what_the_published_schemas_want() {
    let home = tempfile::tempdir().unwrap();
    let xml = home.path().join("report.xml");
    let path = xml.display().to_string();
    made(&["report", "xml", &format!("{FORMS}/report.json"), "-o", &path]);
    for schema in ["junit-10.xsd", "junit-ant.xsd"] {
        let schema = format!("{FORMS}/{schema}");
        let output = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema", &schema, &path])
            .output()
            .expect("libxml2-utils are there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = std::fs::read_to_string(&xml).unwrap();
    assert!(text.contains("<failure type=\"route-missing\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_shown_as_it_is_without_a_request_or_an_error_and_axe_finds_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut browser = Browser::start(home.path()).await;
    let small = format!("{FORMS}/report.json");
    let large = large(home.path()).display().to_string();
    for (report, lang, dark) in [(&small, "en", false), (&small, "ko", true), (&large, "en", true)] {
        let page = home.path().join("page.html");
        let path = page.display().to_string();
        made(&["report", "html", report, "--lang", lang, "-o", &path]);
        let bytes = std::fs::metadata(&page).unwrap().len();
        assert!(bytes < 5_000_000, "{bytes}");
        let begin = Instant::now();
        let seen = browser.open(&page, dark).await;
        // Well below a second on a machine that does nothing else.
        let took = begin.elapsed();
        assert!(took.as_secs() < 30, "{took:?}");
        assert_eq!(seen.requests, [format!("file://{path}")], "{report} {lang}");
        assert_eq!(seen.errors, [""; 0], "{report} {lang}");
        let violations = browser.axe().await;
        assert_eq!(violations, json!([]), "{report} {lang}");
        println!(
            "{report} {lang}: {bytes} bytes, shown in {took:.1?}, axe after {:.1?}",
            begin.elapsed()
        );
    }
    let pdf = browser.pdf().await;
    assert!(pdf.starts_with(b"%PDF"));
    if let Some(kept) = std::env::var_os("KEEP_PAGES") {
        std::fs::create_dir_all(&kept).unwrap();
        for (report, lang) in [(&small, "en"), (&small, "ko"), (&large, "en")] {
            let name = if *report == small { "small" } else { "large" };
            let page = Path::new(&kept).join(format!("{name}-{lang}.html"));
            made(&[
                "report",
                "html",
                report,
                "--lang",
                lang,
                "-o",
                &page.display().to_string(),
            ]);
            browser.open(&page, false).await;
            std::fs::write(page.with_extension("pdf"), browser.pdf().await).unwrap();
            std::fs::write(page.with_extension("png"), browser.picture().await).unwrap();
        }
    }
    browser.end().await;
}

/// Makes a report's directory by hand, as a run would.
fn directory(home: &Path) -> PathBuf {
    let root = home.join("report");
    std::fs::create_dir_all(root.join("evidence")).unwrap();
    std::fs::copy(format!("{FORMS}/report.json"), root.join("report.json")).unwrap();
    std::fs::write(root.join("evidence/site.yaml"), "apiVersion: site/v1\n").unwrap();
    let sums = Command::new("sha256sum")
        .args(["evidence/site.yaml", "report.json"])
        .current_dir(&root)
        .output()
        .unwrap();
    std::fs::write(root.join("SHA256SUMS"), sums.stdout).unwrap();
    root
}

fn keygen(arguments: &[&str], input: &Path) -> bool {
    Command::new("ssh-keygen")
        .args(arguments)
        .stdin(std::fs::File::open(input).unwrap())
        .stdout(Stdio::null())
        .status()
        .expect("openssh-client is there")
        .success()
}

#[test]
fn a_signed_report_is_taken_by_openssh_and_by_us_and_an_altered_one_by_nobody() {
    let home = tempfile::tempdir().unwrap();
    let root = directory(home.path());
    let root_name = root.display().to_string();
    let key = home.path().join("id").display().to_string();
    let public = format!("{key}.pub");
    let null = Path::new("/dev/null");
    assert!(keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &key], null));
    let code = |arguments: &[&str]| verifier(arguments).status.code();
    assert_eq!(code(&["report", "check", &root_name]), Some(0));
    assert_eq!(
        code(&["report", "check", &root_name, "--key", &public]),
        Some(1),
        "it is not signed"
    );
    made(&["report", "sign", &root_name, "--key", &key]);
    made(&["report", "check", &root_name, "--key", &public]);
    let signers = home.path().join("signers");
    std::fs::write(
        &signers,
        format!("inspector {}", std::fs::read_to_string(&public).unwrap()),
    )
    .unwrap();
    let (signers, sums) = (signers.display().to_string(), root.join("SHA256SUMS"));
    let signature = root.join("SHA256SUMS.sig").display().to_string();
    let verify = [
        "-Y",
        "verify",
        "-f",
        &signers,
        "-I",
        "inspector",
        "-n",
        "verifier-report",
        "-s",
        &signature,
    ];
    assert!(keygen(&verify, &sums));
    // Whoever changes a file and its line in the list is found by the signature alone.
    std::fs::write(root.join("evidence/site.yaml"), "apiVersion: site/v2\n").unwrap();
    assert_eq!(code(&["report", "check", &root_name]), Some(1));
    let again = Command::new("sha256sum")
        .args(["evidence/site.yaml", "report.json"])
        .current_dir(&root)
        .output()
        .unwrap();
    std::fs::write(&sums, again.stdout).unwrap();
    assert_eq!(code(&["report", "check", &root_name]), Some(0));
    assert_eq!(code(&["report", "check", &root_name, "--key", &public]), Some(1));
    assert!(!keygen(&verify, &sums));
}

#[test]
fn what_is_redacted_is_turned_back_with_the_key_file_and_a_diff_with_itself_is_empty() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    let (report, key, out) = (
        format!("{FORMS}/report.json"),
        path("names"),
        path("redacted.json"),
    );
    made(&["report", "json", &report, "--redact", &key, "-o", &out]);
    let text = std::fs::read_to_string(&out).unwrap();
    let original = sample();
    for host in original["hosts"].as_array().unwrap() {
        let address = host["address"].as_str().unwrap();
        assert!(!text.contains(address), "{address}");
    }
    assert!(!text.contains("node-0") && !text.contains("192.168.") && !text.contains("10.200."));
    for form in ["html", "xml", "sarif", "csv", "md"] {
        let text = made(&["report", form, &report, "--redact", &key]);
        for original in ["node-0", "node-1", "192.168.", "10.200.", "jumpbox", "id_ed25519"] {
            assert!(!text.contains(original), "{form}: {original}");
        }
    }
    made(&["report", "html", &out]);
    let back = made(&["report", "reveal", &out, "--key", &key]);
    assert!(back.contains("node-0") && back.contains("10.200."));
    assert_eq!(
        verifier(&["report", "diff", &report, &report]).status.code(),
        Some(0)
    );
    assert_eq!(verifier(&["report", "diff", &out, &out]).status.code(), Some(0));
    // Beside the plain one all would be gone, and all new.
    let mixed = verifier(&["report", "diff", &report, &out]);
    assert_eq!(mixed.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("redacted"));
}
