//! What can go wrong between us and the API server, in values that keep no foreign type.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{kubeconfig, limits};

/// Why the API did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {} cannot be used: {reason}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No client for the server could be made.
    #[error("no connection to {server} can be prepared: {reason}")]
    Client {
        /// The server's URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// No answer could be had.
    #[error("{operation}: {server} does not answer: {reason}")]
    Unreachable {
        /// What was asked.
        operation: String,
        /// The server's URL.
        server: String,
        /// The chain of causes.
        reason: String,
    },
    /// The server's certificate does not chain to the kubeconfig's CA, or is of another name.
    #[error("{operation}: the certificate of {server} is not accepted: {reason}")]
    Certificate {
        /// What was asked.
        operation: String,
        /// The server's URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server refused.
    #[error("{operation}: refused ({code} {reason}): {message}")]
    Refused {
        /// What was asked.
        operation: String,
        /// The HTTP status.
        code: u16,
        /// Kubernetes' reason, for example `Forbidden`.
        reason: String,
        /// The server's own words.
        message: String,
    },
    /// The answer is none that Kubernetes gives.
    #[error("{operation}: {server} answers what no Kubernetes answers: {reason}")]
    NotKubernetes {
        /// What was asked.
        operation: String,
        /// The server's URL.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer within the deadline.
    #[error("{operation}: no answer of {server} within {seconds} s")]
    Late {
        /// What was asked.
        operation: String,
        /// The server's URL.
        server: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Nobody asked it when the facts were gathered.
    #[error("{operation}: nobody asked that when the facts were gathered")]
    Ungathered {
        /// What was asked.
        operation: String,
    },
}

/// Returns what is wrong with the login, where that is what is wrong: kube's words may quote what a plugin gave.
fn login_reason(error: &kube::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<kube::client::AuthError>() {
            return Some(kubeconfig::auth_reason(error));
        }
        next = cause.source();
    }
    None
}

impl ClusterError {
    /// Returns the error of an operation from kube's.
    pub(super) fn of(operation: &str, server: &str, error: &kube::Error) -> Self {
        let (operation, server) = (operation.to_owned(), server.to_owned());
        match error {
            kube::Error::Api(status) => Self::Refused {
                operation,
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            // Not in the parser's words: they quote the answer, and that may be a Secret.
            kube::Error::SerdeError(error) => Self::NotKubernetes {
                operation,
                server,
                reason: format!(
                    "no such object at line {}, column {} of the answer",
                    error.line(),
                    error.column()
                ),
            },
            kube::Error::FromUtf8(_) => Self::NotKubernetes {
                operation,
                server,
                reason: "it is no text in UTF-8".to_owned(),
            },
            other => {
                if let Some(reason) = login_reason(other) {
                    return Self::Client { server, reason };
                }
                if limits::is_too_long(other) {
                    return Self::NotKubernetes {
                        operation,
                        server,
                        reason: format!("an answer of more than {} MiB", limits::ANSWER >> 20),
                    };
                }
                let reason = cli::chain(other);
                if reason.contains("peer certificate") || reason.contains("certificate verif") {
                    Self::Certificate {
                        operation,
                        server,
                        reason,
                    }
                } else {
                    Self::Unreachable {
                        operation,
                        server,
                        reason,
                    }
                }
            }
        }
    }

    /// Returns whether the server's certificate is only of another name.
    pub fn is_other_name(&self) -> bool {
        matches!(self, Self::Certificate { reason, .. } if reason.contains("not valid for name"))
    }

    /// Returns whether the server says that there is no such object.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// Returns whether the server says that the object is there already, or has changed.
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }
}
