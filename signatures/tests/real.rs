//! Against the real programs: `ssh-keygen -Y`, `ssh-agent`, `minisign`. And against 10,000 alterations.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrets::Secret;
use signatures::{Keys, KeysError, SignatureError, SignatureForm, SigningError, SigningKey};
use tempfile::TempDir;

const NAMESPACE: &str = "bundle";
const BYTES: &[u8] = br#"{"format":1,"name":"sample"}"#;
/// Some day in 2026.
const NOW: i64 = 1_796_029_200;

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a program here.
    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // One that has seen enough closes its end.
        let _ = child.stdin.take()?.write_all(input);
        let output = child.wait_with_output().ok()?;
        output.status.success().then_some(output.stdout)
    }

    fn keygen(&self, arguments: &[&str], input: &[u8]) -> bool {
        self.run("ssh-keygen", arguments, input).is_some()
    }

    /// Makes a key of SSH.
    fn key(&self, name: &str, kind: [&str; 2], passphrase: &str) -> SigningKey {
        let arguments = ["-q", "-t", kind[0], "-b", kind[1], "-N", passphrase, "-f", name];
        assert!(self.keygen(&arguments, b""));
        let passphrase = (!passphrase.is_empty()).then(|| Secret::new(passphrase));
        SigningKey::open(&self.read(name), passphrase.as_ref(), None).unwrap()
    }

    /// Says whether ssh-keygen takes `signed.sig` over bytes.
    fn openssh_takes(&self, bytes: &[u8]) -> bool {
        let arguments = [
            "-Y",
            "verify",
            "-f",
            "signers",
            "-I",
            "maker",
            "-n",
            NAMESPACE,
            "-s",
            "signed.sig",
        ];
        self.keygen(&arguments, bytes)
    }
}

fn ours(keys: &str, signature: &str) -> Result<String, SignatureError> {
    let keys = Keys::parse(keys.as_bytes()).unwrap();
    keys.verify(signature.as_bytes(), NAMESPACE, BYTES, NOW)
        .map(|signer| signer.to_string())
}

/// Of 256 keys on P-256 one has a number that begins with zeros, which OpenSSH leaves out.
#[test]
fn a_key_whose_number_is_short_is_opened_too() {
    let home = Home::new();
    let arguments = ["-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", "short"];
    let is_short = |_: &usize| {
        let _ = fs::remove_file(home.path("short"));
        assert!(home.keygen(&arguments, b""));
        signatures::short_key(&home.read("short"), None).is_some()
    };
    let tries = (0..5000).find(is_short);
    assert!(tries.is_some(), "of 5,000 keys none has a short number");
    let public = home.read("short.pub");
    let takes = |key: &SigningKey| {
        let signature = key.sign(NAMESPACE, "", BYTES).unwrap();
        home.write("signers", format!("maker {public}"));
        home.write("signed.sig", &signature);
        home.openssh_takes(BYTES) && ours(&public, &signature).unwrap() == key.fingerprint()
    };
    assert!(takes(&SigningKey::open(&home.read("short"), None, None).unwrap()));
    assert!(home.keygen(&["-q", "-p", "-P", "", "-N", "hunter2", "-f", "short"], b""));
    let open = |passphrase: &str| SigningKey::open(&home.read("short"), Some(&Secret::new(passphrase)), None);
    assert!(takes(&open("hunter2").unwrap()));
    assert!(matches!(open("hunter3"), Err(SigningError::Passphrase)));
}

#[test]
fn openssh_takes_ours_and_we_take_its() {
    let home = Home::new();
    for kind in [
        ["ed25519", "256"],
        ["ecdsa", "256"],
        ["ecdsa", "384"],
        ["rsa", "3072"],
    ] {
        let name = kind.join("-");
        let key = home.key(&name, kind, "");
        let public = home.read(&format!("{name}.pub"));
        let signature = key.sign(NAMESPACE, "", BYTES).unwrap();
        home.write("signers", format!("maker {public}"));
        home.write("signed.sig", &signature);
        assert!(
            home.openssh_takes(BYTES) && !home.openssh_takes(b"other"),
            "{name}"
        );
        assert_eq!(ours(&public, &signature).unwrap(), key.fingerprint());
        assert_eq!(
            ours(&home.read("signers"), &signature).unwrap(),
            format!("maker ({})", key.fingerprint())
        );
        // And the other way round, with either hash over the text.
        for hash in ["hashalg=sha512", "hashalg=sha256"] {
            let file = home.write("file", BYTES);
            let arguments = [
                "-Y",
                "sign",
                "-O",
                hash,
                "-f",
                &name,
                "-n",
                NAMESPACE,
                file.to_str().unwrap(),
            ];
            assert!(home.keygen(&arguments, b""));
            let theirs = home.read("file.sig");
            assert_eq!(ours(&public, &theirs).unwrap(), key.fingerprint());
            assert_eq!(
                SignatureForm::of(theirs.as_bytes()).unwrap().key(),
                key.fingerprint()
            );
            fs::remove_file(home.path("file.sig")).unwrap();
        }
    }
}

#[test]
fn a_signature_for_another_purpose_of_another_key_or_over_other_bytes_is_refused_in_words() {
    let home = Home::new();
    let (key, other) = (
        home.key("a", ["ed25519", "256"], ""),
        home.key("b", ["ecdsa", "256"], ""),
    );
    let (public, foreign) = (home.read("a.pub"), home.read("b.pub"));
    let for_files = key.sign("file", "", BYTES).unwrap();
    assert!(
        matches!(ours(&public, &for_files), Err(SignatureError::Namespace { found, .. }) if found == "file")
    );
    let good = key.sign(NAMESPACE, "", BYTES).unwrap();
    assert!(
        matches!(ours(&foreign, &good), Err(SignatureError::OtherKey { key: named }) if named == key.fingerprint())
    );
    let over_others = key.sign(NAMESPACE, "", b"other").unwrap();
    assert_eq!(ours(&public, &over_others), Err(SignatureError::Wrong));
    // Both keys are trusted: the signature of one under the name of the other is not.
    let both = format!("{public}{foreign}");
    assert_eq!(ours(&both, &good).unwrap(), key.fingerprint());
    assert_eq!(
        ours(&both, &other.sign(NAMESPACE, "", BYTES).unwrap()).unwrap(),
        other.fingerprint()
    );
    for limited in [
        format!("maker namespaces=\"git\" {public}"),
        format!("maker valid-after=\"20300101Z\" {public}"),
        format!("maker valid-before=\"20200101\" {public}"),
        format!("maker cert-authority {public}"),
    ] {
        assert!(
            matches!(
                ours(&limited, &good),
                Err(SignatureError::NotAllowed { line: 1, .. })
            ),
            "{limited}"
        );
        // A second line may allow what the first does not.
        assert!(ours(&format!("{limited}maker namespaces=\"bundle\" {public}"), &good).is_ok());
    }
    for text in [
        "",
        "abc",
        "-----BEGIN SSH SIGNATURE-----\n",
        "untrusted comment: x\n",
    ] {
        assert!(
            matches!(ours(&public, text), Err(SignatureError::Form { .. })),
            "{text}"
        );
    }
}

#[test]
fn a_certificates_signature_is_refused_in_words() {
    let home = Home::new();
    home.key("ca", ["ed25519", "256"], "");
    home.key("user", ["ed25519", "256"], "");
    assert!(home.keygen(&["-q", "-s", "ca", "-I", "id", "-n", "maker", "user.pub"], b""));
    let (authority, certificate) = (home.read("ca.pub"), home.read("user-cert.pub"));
    let listed = format!("maker cert-authority {authority}");
    let agent = Agent::start(&home);
    agent.add("user");
    home.write("file", BYTES);
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-Y", "sign", "-f", "user-cert.pub", "-n", NAMESPACE, "file"]);
    let signed = sign
        .current_dir(home.0.path())
        .env("SSH_AUTH_SOCK", &agent.socket)
        .output()
        .unwrap();
    assert!(signed.status.success(), "{signed:?}");
    assert_eq!(
        ours(&listed, &home.read("file.sig")),
        Err(SignatureError::Certificate)
    );
    assert!(
        matches!(Keys::parse(certificate.as_bytes()), Err(KeysError::Line { reason, .. }) if reason.contains("certificates"))
    );
}

#[test]
fn what_is_no_public_key_is_refused_and_a_private_one_is_called_so() {
    let home = Home::new();
    home.key("a", ["ed25519", "256"], "");
    assert_eq!(
        Keys::parse(home.read("a").as_bytes()).unwrap_err(),
        KeysError::Private
    );
    assert_eq!(Keys::parse(b"# nothing\n").unwrap_err(), KeysError::Empty);
    assert!(matches!(
        Keys::parse(b"hello\n"),
        Err(KeysError::Line { line: 1, .. })
    ));
    assert_eq!(Keys::parse(b"\xff").unwrap_err(), KeysError::Unknown);
    assert_eq!(
        Keys::parse(b"---- BEGIN SSH2 PUBLIC KEY ----\n").unwrap_err(),
        KeysError::Unknown
    );
    assert_eq!(
        Keys::parse(b"-----BEGIN PUBLIC KEY-----\n").unwrap_err(),
        KeysError::Unknown
    );
    assert!(home.keygen(&["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", "weak"], b""));
    assert!(
        matches!(Keys::parse(home.read("weak.pub").as_bytes()), Err(KeysError::Line { reason, .. }) if reason.contains("2048"))
    );
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_alone() {
    let home = Home::new();
    let key = home.key("a", ["ed25519", "256"], "hunter2");
    let text = home.read("a");
    assert!(matches!(
        SigningKey::open(&text, None, None),
        Err(SigningError::Encrypted)
    ));
    let wrong = Secret::new("hunter3");
    assert!(matches!(
        SigningKey::open(&text, Some(&wrong), None),
        Err(SigningError::Passphrase)
    ));
    assert_eq!(
        ours(&home.read("a.pub"), &key.sign(NAMESPACE, "", BYTES).unwrap()).unwrap(),
        key.fingerprint()
    );
}

/// ssh-agent, until this goes.
struct Agent<'a> {
    home: &'a Home,
    socket: PathBuf,
    child: std::process::Child,
}

impl<'a> Agent<'a> {
    fn start(home: &'a Home) -> Self {
        let socket = home.path("agent");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        while !socket.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Self { home, socket, child }
    }

    fn add(&self, key: &str) {
        self.tell("-q", key);
    }

    fn forget(&self, key: &str) {
        self.tell("-d", &format!("{key}.pub"));
    }

    fn tell(&self, what: &str, key: &str) {
        let mut command = Command::new("ssh-add");
        command
            .arg(what)
            .arg(self.home.path(key))
            .stderr(Stdio::null())
            .env("SSH_AUTH_SOCK", &self.socket);
        assert!(command.status().unwrap().success());
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_agent_signs_with_the_keys_that_it_has() {
    let home = Home::new();
    let agent = Agent::start(&home);
    for kind in [["ed25519", "256"], ["ecdsa", "256"], ["rsa", "2048"]] {
        home.key(kind[0], kind, "");
        let public = home.read(&format!("{}.pub", kind[0]));
        let open = || SigningKey::open(&public, None, Some(&agent.socket));
        assert!(matches!(open(), Err(SigningError::Agent { .. })), "it has no key");
        agent.add(kind[0]);
        let key = open().unwrap();
        let signature = key.sign(NAMESPACE, "", BYTES).unwrap();
        assert_eq!(ours(&public, &signature).unwrap(), key.fingerprint());
        home.write("signers", format!("maker {public}"));
        home.write("signed.sig", &signature);
        assert!(home.openssh_takes(BYTES));
        assert!(matches!(
            SigningKey::open(&public, None, None),
            Err(SigningError::NoAgent)
        ));
        agent.forget(kind[0]);
        assert!(matches!(
            key.sign(NAMESPACE, "", BYTES),
            Err(SigningError::Agent { .. })
        ));
        assert!(matches!(
            SigningKey::open(&public, None, Some(Path::new("/nonexistent/agent"))),
            Err(SigningError::Agent { .. })
        ));
    }
}

/// A private key of minisign without a password (`minisign -G -W`), its public half, and what 0.11 signed with it.
const SECRET: &str = include_str!("minisign/secret.key");
const PUBLIC: &str = include_str!("minisign/public.pub");
const SIGNED: &str = include_str!("minisign/signed.sig");
const LEGACY: &str = include_str!("minisign/legacy.sig");
/// The same, with the password `hunter2`, made for little memory.
const LOCKED: &str = include_str!("minisign/locked.key");

#[test]
fn minisign_takes_ours_and_we_take_its() {
    let key = SigningKey::open(SECRET, None, None).unwrap();
    for theirs in [SIGNED, LEGACY] {
        assert_eq!(ours(PUBLIC, theirs).unwrap(), key.fingerprint());
    }
    let line = PUBLIC.lines().nth(1).unwrap();
    assert_eq!(ours(line, SIGNED).unwrap(), key.fingerprint());
    let signature = key.sign(NAMESPACE, "bundle sha256:00", BYTES).unwrap();
    assert_eq!(ours(PUBLIC, &signature).unwrap(), key.fingerprint());
    // The program itself, where it is installed; CI and the docs have it from Debian.
    let home = Home::new();
    if home.run("minisign", &["-v"], b"").is_none() {
        return;
    }
    home.write("file", BYTES);
    home.write("file.sig", &signature);
    home.write("key.pub", PUBLIC);
    home.write("key", SECRET);
    let verify = ["-V", "-q", "-m", "file", "-x", "file.sig", "-p", "key.pub"];
    assert!(home.run("minisign", &verify, b"").is_some());
    home.write("file", b"other");
    assert!(home.run("minisign", &verify, b"").is_none());
    home.write("file", BYTES);
    let sign = [
        "-S",
        "-s",
        "key",
        "-m",
        "file",
        "-x",
        "theirs.sig",
        "-t",
        "a comment of theirs",
    ];
    assert!(home.run("minisign", &sign, b"").is_some());
    assert_eq!(ours(PUBLIC, &home.read("theirs.sig")).unwrap(), key.fingerprint());
}

#[test]
fn minisigns_keys_open_with_their_password_alone_and_a_comment_that_nothing_signs_is_refused() {
    assert!(matches!(
        SigningKey::open(LOCKED, None, None),
        Err(SigningError::Encrypted)
    ));
    let open = |password: &str| SigningKey::open(LOCKED, Some(&Secret::new(password)), None);
    assert!(matches!(open("hunter3"), Err(SigningError::Passphrase)));
    let signature = open("hunter2").unwrap().sign(NAMESPACE, "", BYTES).unwrap();
    assert!(ours(PUBLIC, &signature).is_ok());
    let told = SIGNED.replace("signature from", "Signature from");
    assert!(matches!(ours(PUBLIC, &told), Err(SignatureError::Form { .. })));
    let told = SIGNED.replace("timestamp:", "timestamp;");
    assert_eq!(ours(PUBLIC, &told), Err(SignatureError::Wrong));
    assert_eq!(Keys::parse(SECRET.as_bytes()).unwrap_err(), KeysError::Private);
    let home = Home::new();
    home.key("a", ["ed25519", "256"], "");
    assert!(matches!(
        ours(&home.read("a.pub"), SIGNED),
        Err(SignatureError::OtherKey { .. })
    ));
}

/// A generator of numbers that are the same each time (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % end
    }

    /// Alters some bytes: a bit, a byte, a byte more or less, two bytes in each other's place.
    fn alter(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut altered = bytes.to_vec();
        while altered == bytes {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => altered[at] ^= 1 << self.below(8),
                1 => altered[at] = u8::try_from(self.below(256)).unwrap(),
                2 => altered.insert(at, u8::try_from(self.below(256)).unwrap()),
                3 => drop(altered.remove(at)),
                _ => altered.swap(at, self.below(bytes.len())),
            }
        }
        altered
    }
}

#[test]
fn of_ten_thousand_altered_signatures_keys_and_bytes_none_is_taken() {
    let home = Home::new();
    let mut numbers = Numbers(0x5eed);
    let mut cases = vec![(PUBLIC.lines().nth(1).unwrap().to_owned(), SIGNED.to_owned())];
    for kind in [["ed25519", "256"], ["ecdsa", "256"], ["rsa", "2048"]] {
        let key = home.key(kind[0], kind, "");
        let public = home.read(&format!("{}.pub", kind[0]));
        let words: Vec<&str> = public.split(' ').take(2).collect();
        cases.push((words.join(" "), key.sign(NAMESPACE, "", BYTES).unwrap()));
    }
    let (mut tried, mut taken) = (0, Vec::new());
    // Arithmetic that is slow without optimisation is tried less often; what the alterations meet first is the same for all.
    for ((key, signature), times) in cases.iter().zip([7000, 2000, 500, 500]) {
        assert!(ours(key, signature).is_ok());
        for _ in 0..times {
            let (mut key, mut signature, mut bytes) = (
                key.clone().into_bytes(),
                signature.clone().into_bytes(),
                BYTES.to_vec(),
            );
            match numbers.below(3) {
                0 => {
                    // Blanks around a key are no part of it.
                    let words = |key: &[u8]| -> Vec<Vec<u8>> {
                        let words = key.split(u8::is_ascii_whitespace).map(<[u8]>::to_vec);
                        words.filter(|word| !word.is_empty()).collect()
                    };
                    let right = words(&key);
                    while words(&key) == right {
                        key = numbers.alter(&key);
                    }
                }
                1 => signature = numbers.alter(&signature),
                _ => bytes = numbers.alter(&bytes),
            }
            tried += 1;
            if let Ok(keys) = Keys::parse(&key)
                && keys.verify(&signature, NAMESPACE, &bytes, NOW).is_ok()
            {
                taken.push((String::from_utf8(key), String::from_utf8(signature), bytes));
            }
        }
    }
    assert_eq!((tried, taken), (10_000, Vec::new()));
}

#[test]
fn a_signature_whose_lines_end_otherwise_is_told_as_that() {
    let home = Home::new();
    let key = home.key("a", ["ed25519", "256"], "");
    let signature = key.sign(NAMESPACE, "", BYTES).unwrap();
    let public = home.read("a.pub");
    let error = ours(&public, &signature.replace('\n', "\r\n")).unwrap_err();
    assert!(error.to_string().contains("CR LF"), "{error}");
    assert!(
        ours(&public.replace('\n', "\r\n"), &signature).is_ok(),
        "keys may"
    );
}

#[test]
fn keys_that_sign_nothing_are_refused_before_anything_is_signed() {
    let home = Home::new();
    // Not every ssh-keygen makes them any more.
    if home.keygen(&["-q", "-t", "dsa", "-N", "", "-f", "dsa"], b"") {
        let error = SigningKey::open(&home.read("dsa"), None, None).unwrap_err();
        assert!(error.to_string().contains("not taken"), "{error}");
    }
    assert!(home.keygen(&["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", "short"], b""));
    let error = SigningKey::open(&home.read("short"), None, None).unwrap_err();
    assert!(error.to_string().contains("2048"), "{error}");
}
