//! Why no agent came of a start, from how its command ended. Pure.

use super::exec::{End, State};
use super::sudo::{self, Asked, Said};
use super::{ConnectError, Escalation, Target};
use crate::carrier::OpenError;
use crate::host::PROGRAM;

/// How a start failed.
pub(super) enum Start {
    /// This directory will not do; another may.
    Barred(String),
    /// None will.
    Failed(ConnectError),
}

impl From<ConnectError> for Start {
    fn from(error: ConnectError) -> Self {
        Self::Failed(error)
    }
}

/// How a command ended that was to start the agent.
pub(super) struct Ended {
    /// Why sudo refused, where it did.
    pub(super) sudo: Option<Said>,
    /// What stands on stderr.
    pub(super) text: String,
    /// None while it still hangs.
    pub(super) end: Option<End>,
}

/// Says why sudo got no answer.
pub(super) fn unanswered(target: &Target, asked: Asked, state: &State) -> ConnectError {
    let (host, user) = (target.to_string(), target.user.clone());
    let question = match &asked {
        Asked::More(question) => question.as_str(),
        Asked::Password => "",
    };
    match (sudo::account(question, state), asked) {
        (Some(sudo::Said::Expired), _) => ConnectError::SudoExpired { host, user },
        (Some(_), _) => ConnectError::SudoLocked { host, user },
        (None, Asked::Password) => ConnectError::SudoPasswordWrong { host, user },
        (None, Asked::More(question)) => ConnectError::SudoAsksMore {
            host,
            user,
            question: if question.is_empty() {
                "the next question comes without a word".to_owned()
            } else {
                question.chars().take(200).collect()
            },
        },
    }
}

/// Says why no agent came, from how its command ended.
pub(super) fn diagnose(target: &Target, directory: &str, error: OpenError, ended: Ended) -> Start {
    let host = target.to_string();
    let user = target.user.clone();
    let noise = match error {
        OpenError::Silent { noise } => noise,
        OpenError::Version { theirs, ours } => {
            return Start::Failed(ConnectError::VersionMismatch { host, theirs, ours });
        }
        OpenError::Late { .. } | OpenError::Broken(_) => String::new(),
        source @ OpenError::Hello(_) => return Start::Failed(ConnectError::Agent { host, source }),
    };
    let text = [ended.text.trim(), noise.as_str()].join(" ").trim().to_owned();
    let end = ended.end;
    let has = |part: &str| text.contains(part);
    let failure = match (&target.escalation, &end) {
        (Escalation::None, Some(End::Status(126 | 127))) => return Start::Barred(text),
        (Escalation::Sudo(_), Some(End::Status(127))) if has("sudo") && !has(directory) => {
            ConnectError::SudoMissing { host }
        }
        // Sudo found the program and the kernel, or root without rights on a network file system, did not take it.
        (Escalation::Sudo(_), Some(End::Status(_))) if has(&format!("{directory}/{PROGRAM}: ")) => {
            return Start::Barred(text);
        }
        (Escalation::Sudo(_), Some(End::Status(_))) if let Some(said) = ended.sudo => {
            refused(said, host, user)
        }
        (Escalation::Sudo(_), Some(End::Status(1))) => ConnectError::SudoRefused { host, user, text },
        (_, None) => ConnectError::NotStarted {
            host,
            end: "it neither answers nor ends".to_owned(),
            text,
        },
        (_, Some(end)) => ConnectError::NotStarted {
            host,
            end: end.to_string(),
            text,
        },
    };
    Start::Failed(failure)
}

fn refused(said: Said, host: String, user: String) -> ConnectError {
    match said {
        Said::PasswordNeeded => ConnectError::SudoPasswordNeeded { host, user },
        Said::PasswordWrong => ConnectError::SudoPasswordWrong { host, user },
        Said::Expired => ConnectError::SudoExpired { host, user },
        Said::Locked => ConnectError::SudoLocked { host, user },
        Said::Terminal => ConnectError::SudoTerminal { host },
    }
}
