//! The door of `fuzz/` into known_hosts.

use russh::keys::PublicKey;

use super::known_hosts::{KnownHosts, Names, Verdict};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

/// A known_hosts file: whatever it says, a line that revokes the key goes before it.
pub(crate) fn known_hosts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let key = PublicKey::from_openssh(KEY).expect("a key");
    let names = Names::new(&["node-0", "10.0.0.1"], 22);
    if let Ok(known) = KnownHosts::parse(text) {
        let _ = known.algorithms(&names);
        let _ = known.judge(&names, &key);
    }
    let revoked = format!("{text}\n@revoked * {KEY}\n");
    if let Ok(known) = KnownHosts::parse(&revoked) {
        let verdict = known.judge(&names, &key);
        assert!(
            matches!(verdict, Verdict::Revoked(_)),
            "a revoked key is {verdict:?}"
        );
    }
}
