//! Real sudo over real PAM: what it may ask and say beside the usual.

use verifier::carrier::ssh::ConnectError;

use crate::sshd::{Kind, PASSWORD, Sshd};
use crate::{connect, refused};

const SUDOERS: &str = "op ALL=(ALL) ALL";

/// A real module that asks for something else behind the password; `stress` asks for another password.
const SECOND: &str = "auth required pam_unix.so\nauth required pam_ftp.so users=op\naccount required pam_permit.so\n\
     session required pam_permit.so\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_factor_behind_the_password_is_a_cause_of_its_own() {
    for pam in [SECOND.to_owned(), SECOND.replace("pam_ftp", "pam_stress")] {
        let host = Sshd::start(&Kind {
            sudoers: SUDOERS,
            pam: &pam,
            ..Kind::default()
        });
        let error = refused(&host.op(Some(PASSWORD))).await;
        assert!(matches!(error, ConnectError::SudoAsksMore { .. }), "{error}");
        let error = refused(&host.op(Some("wrong"))).await;
        assert!(!matches!(error, ConnectError::NotStarted { .. }), "{error}");
        host.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_password_is_told_as_such() {
    let host = Sshd::start(&Kind {
        sudoers: SUDOERS,
        // It must be changed at the next login.
        shadow: Some("0:0:99999:7:::"),
        ..Kind::default()
    });
    let error = refused(&host.op(Some(PASSWORD))).await;
    assert!(matches!(error, ConnectError::SudoExpired { .. }), "{error}");
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_is_told_as_such_and_a_delay_is_waited_for() {
    let host = Sshd::start(&Kind {
        sudoers: SUDOERS,
        // As authselect of RHEL arranges it.
        pam: "auth optional pam_faildelay.so delay=1000000\n\
              auth requisite pam_faillock.so preauth deny=1 unlock_time=600\n\
              auth sufficient pam_unix.so\n\
              auth [default=die] pam_faillock.so authfail deny=1 unlock_time=600\n\
              account required pam_permit.so\nsession required pam_permit.so\n",
        ..Kind::default()
    });
    refused(&host.op(Some("wrong"))).await;
    let error = refused(&host.op(Some(PASSWORD))).await;
    assert!(matches!(error, ConnectError::SudoLocked { .. }), "{error}");
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_a_prompt_of_another_run_gets_no_password() {
    let host = Sshd::start(&Kind {
        sudoers: "Defaults lecture=always\nDefaults lecture_file=/etc/sudo-lecture\nop ALL=(ALL) ALL",
        bashrc: "echo '[verifier-asks]' >&2; echo '[verifier-0123456789abcdef0123456789abcdef]' >&2",
        ..Kind::default()
    });
    connect(&host.op(Some(PASSWORD))).await.unwrap();
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_that_wants_roots_password_does_not_take_the_users() {
    let host = Sshd::start(&Kind {
        sudoers: "Defaults targetpw\nop ALL=(ALL) ALL",
        ..Kind::default()
    });
    let error = refused(&host.op(Some(PASSWORD))).await;
    assert!(matches!(error, ConnectError::SudoPasswordWrong { .. }), "{error}");
    host.nothing_is_left();
}

/// sudo-rs, which Ubuntu has for sudo: `cargo install sudo-rs`, its program named by `SUDO_RS`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs sudo-rs, which Debian 12 does not have"]
async fn sudo_rs_is_understood_as_the_other_is() {
    let sudo = std::path::PathBuf::from(std::env::var_os("SUDO_RS").unwrap());
    let start = |sudoers: &'static str, pam: &'static str, shadow: Option<&'static str>| {
        Sshd::start(&Kind {
            sudo: Some(&sudo),
            sudoers,
            pam,
            shadow,
            ..Kind::default()
        })
    };
    let host = start(SUDOERS, "", None);
    assert_eq!(connect(&host.op(Some(PASSWORD))).await.unwrap().hello().uid, 0);
    let error = refused(&host.op(Some("wrong"))).await;
    assert!(matches!(error, ConnectError::SudoPasswordWrong { .. }), "{error}");
    let error = refused(&host.op(None)).await;
    assert!(
        matches!(error, ConnectError::SudoPasswordNeeded { .. }),
        "{error}"
    );
    let host = start(SUDOERS, SECOND, None);
    let error = refused(&host.op(Some(PASSWORD))).await;
    let ConnectError::SudoAsksMore { question, .. } = &error else {
        panic!("{error}")
    };
    assert!(question.starts_with("Guest login ok"), "{question}");
    let host = start(SUDOERS, "", Some("0:0:99999:7:::"));
    let error = refused(&host.op(Some(PASSWORD))).await;
    assert!(matches!(error, ConnectError::SudoExpired { .. }), "{error}");
    let host = start("op ALL=(ALL) /bin/true", "", None);
    let error = refused(&host.op(Some(PASSWORD))).await;
    assert!(matches!(error, ConnectError::SudoRefused { .. }), "{error}");
    host.nothing_is_left();
}
