//! The namespaces of containerd: the CRI has one, Docker and others have theirs.

use super::client::{Containerd, answer};
use super::error::Error;
use super::proto::namespaces::ListNamespacesRequest;
use super::proto::namespaces::namespaces_client::NamespacesClient;
use crate::host::runtime_socket::MESSAGE_LIMIT;

/// Returns the names of all namespaces.
pub(super) async fn list(containerd: &Containerd) -> Result<Vec<String>, Error> {
    let client = NamespacesClient::new(containerd.channel.clone());
    let mut client = client.max_decoding_message_size(MESSAGE_LIMIT);
    let request = ListNamespacesRequest {
        filter: String::new(),
    };
    let call = client.list(containerd.request(request));
    let reply = answer(|| "list the namespaces".into(), call).await?;
    Ok(reply
        .namespaces
        .into_iter()
        .map(|namespace| namespace.name)
        .collect())
}
