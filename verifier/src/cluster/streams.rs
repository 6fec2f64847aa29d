//! What the API server passes on to the kubelet of a pod: its log, commands in its containers, its ports.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, LogParams};
use kube::core::Request;
use kube::{Api, Resource as _};
use serde::{Deserialize, Serialize};

use super::socket::{self, Output};
use super::{Cluster, ClusterError, RunNamespace};
use crate::http;
use crate::protocol::{HttpProbe, HttpReply};

/// The most of a log, or of a command's output, that is read.
const KEEP: usize = 1 << 20;
/// How long the words that explain a broken port-forward may come after it broke.
const WORDS: Duration = Duration::from_millis(500);

/// How a command in a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Its exit code; absent: it did not run to its end.
    pub code: Option<i32>,
    /// Why it did not, in the server's words or those of the socket that broke; absent: it ended without any.
    pub message: Option<String>,
}

/// How a request through a port-forward ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// What came back.
    pub reply: HttpReply,
    /// What the kubelet says is wrong with the port.
    pub error: Option<String>,
}

impl Cluster {
    /// Returns the last lines of a container's log.
    pub async fn log(
        &self,
        namespace: &RunNamespace,
        pod: &str,
        container: &str,
        lines: u32,
    ) -> Result<String, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("get pods/log of {pod} in {}", namespace.name);
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(lines.into()),
            limit_bytes: i64::try_from(KEEP).ok(),
            ..LogParams::default()
        };
        self.ask(&operation, api.logs(pod, &params)).await
    }

    /// Runs a command in a container and waits for its end.
    pub async fn exec(
        &self,
        namespace: &RunNamespace,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<Executed, ClusterError> {
        let operation = format!("create pods/exec in {pod} in {}", namespace.name);
        let params = AttachParams::default()
            .container(container)
            .stdin(false)
            .stdout(true)
            .stderr(true);
        let work = async {
            let request = pods(namespace).exec(pod, command.iter().copied(), &params);
            let socket = socket::open(&self.client, request.map_err(kube::Error::BuildRequest)?).await?;
            Ok(ended(socket::output(socket, KEEP).await))
        };
        self.ask(&operation, work).await
    }

    /// Makes an HTTP request to a pod's port through a port-forward.
    pub async fn forward(
        &self,
        namespace: &RunNamespace,
        pod: &str,
        ask: &HttpProbe,
    ) -> Result<Forwarded, ClusterError> {
        let operation = format!("create pods/portforward to {pod} in {}", namespace.name);
        let port = ask.to.port();
        let work = async {
            let request = pods(namespace).portforward(pod, &[port]);
            let socket = socket::open(&self.client, request.map_err(kube::Error::BuildRequest)?).await?;
            let forward = socket::forward(socket, port);
            let reply = http::over(forward.stream, ask).await;
            let reply = reply.unwrap_or_else(|error| HttpReply::Broken {
                error: error.to_string().into(),
            });
            let error = match reply {
                HttpReply::Answer { .. } => None,
                _ => tokio::time::timeout(WORDS, forward.words)
                    .await
                    .ok()
                    .and_then(Result::ok),
            };
            drop(forward.task);
            Ok(Forwarded { reply, error })
        };
        self.ask(&operation, work).await
    }
}

/// Returns what makes requests about the pods of a run.
fn pods(namespace: &RunNamespace) -> Request {
    Request::new(Pod::url_path(&(), Some(&namespace.name)))
}

/// Reads the status of a command: `Success`, or `NonZeroExitCode` with the code among its causes
/// (k8s.io/apimachinery/pkg/util/remotecommand).
fn ended(output: Output) -> Executed {
    let (code, message) = match output.status {
        None => (None, output.broken),
        Some(status) if status.status.as_deref() == Some("Success") => (Some(0), None),
        Some(status) => {
            let causes = status
                .details
                .and_then(|details| details.causes)
                .unwrap_or_default();
            let code = causes
                .iter()
                .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
                .and_then(|cause| cause.message.as_ref()?.parse().ok());
            (code, status.message)
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Executed {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code,
        message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: serde_json::Value) -> (Option<i32>, Option<String>) {
        let status = serde_json::from_value(status).unwrap();
        let executed = ended(Output {
            status: Some(status),
            ..Output::default()
        });
        (executed.code, executed.message)
    }

    #[test]
    fn a_command_ends_with_its_code_or_with_the_reason_why_it_did_not_run() {
        assert_eq!(of(json!({"status": "Success"})), (Some(0), None));
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "exit code 3",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
        assert_eq!(of(failed), (Some(3), Some("exit code 3".to_owned())));
        let broken = json!({"status": "Failure", "reason": "InternalError", "message": "x509: certificate has expired"});
        assert_eq!(of(broken).0, None);
        let silent = ended(Output::default());
        assert_eq!((silent.code, silent.message), (None, None));
    }
}
