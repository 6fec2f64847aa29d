//! A kubeconfig: all of its users, clusters and contexts, what is embedded and what is named.

use yaml::Node;

use crate::certs::Contents;
use crate::protocol::{KubeconfigCluster, KubeconfigContext, KubeconfigParts, KubeconfigUser};

/// More entries than this are not read of one list.
const ENTRIES: usize = 256;
/// Ways for a user to prove who it is, other than a certificate.
const OTHERWISE: [&str; 6] = [
    "token",
    "tokenFile",
    "exec",
    "auth-provider",
    "username",
    "password",
];

/// Reads a kubeconfig; none where the document is none.
pub(super) fn contents(document: &Node) -> Option<Contents> {
    let (clusters, users) = (document.get("clusters")?, document.get("users")?);
    let mut contents = Contents::default();
    let parts = KubeconfigParts {
        current: text(document, "current-context").filter(|name| !name.is_empty()),
        contexts: named(document.get("contexts"), "context")
            .map(|(name, context)| KubeconfigContext {
                name,
                cluster: text(context, "cluster").unwrap_or_default(),
                user: text(context, "user").unwrap_or_default(),
            })
            .collect(),
        clusters: named(Some(clusters), "cluster")
            .map(|(name, node)| cluster(name, node, &mut contents))
            .collect(),
        users: named(Some(users), "user")
            .map(|(name, node)| user(name, node, &mut contents))
            .collect(),
    };
    contents.kubeconfig = Some(parts);
    Some(contents)
}

/// Returns the entries of a list, each with its name and what it holds.
fn named<'a>(list: Option<&'a Node>, holds: &'a str) -> impl Iterator<Item = (String, &'a Node)> {
    let entries = list.map(Node::items).unwrap_or_default().iter().take(ENTRIES);
    entries.filter_map(move |entry| Some((text(entry, "name")?, entry.get(holds)?)))
}

fn cluster(name: String, node: &Node, contents: &mut Contents) -> KubeconfigCluster {
    let data = data(node, "certificate-authority-data");
    if let Some(data) = data {
        contents.embedded(&format!("clusters/{name}"), "certificate-authority-data", data);
    }
    KubeconfigCluster {
        server: text(node, "server").unwrap_or_default(),
        insecure: text(node, "insecure-skip-tls-verify").is_some_and(|said| said == "true"),
        server_name: text(node, "tls-server-name").filter(|name| !name.is_empty()),
        // What is embedded wins over what is named.
        authority: text(node, "certificate-authority").filter(|path| data.is_none() && !path.is_empty()),
        embedded: data.is_some(),
        name,
    }
}

fn user(name: String, node: &Node, contents: &mut Contents) -> KubeconfigUser {
    let at = format!("users/{name}");
    let fields = ["client-certificate-data", "client-key-data"];
    let [certificate, key] = fields.map(|field| data(node, field));
    for (field, data) in fields.into_iter().zip([certificate, key]) {
        if let Some(data) = data {
            contents.embedded(&at, field, data);
        }
    }
    let file =
        |field, data: Option<&str>| text(node, field).filter(|path| data.is_none() && !path.is_empty());
    KubeconfigUser {
        certificate: file("client-certificate", certificate),
        key: file("client-key", key),
        embedded: certificate.is_some(),
        otherwise: OTHERWISE
            .iter()
            .any(|way| node.get(way).is_some_and(|said| !said.is_null())),
        name,
    }
}

fn text(node: &Node, name: &str) -> Option<String> {
    let text = node.get(name)?.scalar()?;
    Some(text.chars().take(1024).collect())
}

fn data<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    node.get(name)?.scalar().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_contexts_all_count_embedded_or_named() {
        let text = "clusters:\n- name: c\n  cluster: {server: 'https://a:6443', certificate-authority: ca.crt, tls-server-name: b}\n\
            contexts:\n- name: x\n  context: {cluster: c, user: one}\n- name: y\n  context: {cluster: c, user: two}\n\
            current-context: x\nusers:\n- name: one\n  user: {client-certificate: /one.crt, client-key: /one.key}\n\
            - name: two\n  user: {client-certificate-data: AAAA, token: t}\n";
        let documents = yaml::documents("k", text).unwrap();
        let contents = contents(&documents[0]).unwrap();
        let parts = contents.kubeconfig.unwrap();
        assert_eq!(parts.contexts.len(), 2);
        assert_eq!(parts.clusters[0].authority.as_deref(), Some("ca.crt"));
        assert_eq!(parts.clusters[0].server_name.as_deref(), Some("b"));
        assert_eq!(parts.users[0].key.as_deref(), Some("/one.key"));
        assert!(parts.users[1].embedded && parts.users[1].otherwise);
        // What is embedded is no PEM.
        assert_eq!(contents.found.len(), 1);
    }

    #[test]
    fn another_document_is_no_kubeconfig() {
        let documents = yaml::documents("k", "clusters: []\n").unwrap();
        assert!(contents(&documents[0]).is_none());
    }
}
