//! The suite's objects as the bundle carries them: YAML in, JSON for the API out. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};
use yaml::{Node, Value as Yaml};

use super::name;

/// An object of the suite, ready to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The object.
    pub object: Value,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no YAML, or not UTF-8.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// The member of the archive.
        file: String,
        /// Why.
        reason: String,
    },
    /// It holds something else.
    #[error("{file} holds no {kind}")]
    Kind {
        /// The member of the archive.
        file: String,
        /// What was looked for.
        kind: String,
    },
    /// Its object has a name that Kubernetes admits nowhere.
    #[error("{file} holds {fault}")]
    Name {
        /// The member of the archive.
        file: String,
        /// What is wrong.
        fault: String,
    },
}

impl Manifest {
    /// Returns the first object of `kind` in a file of YAML documents.
    pub fn parse(file: &str, bytes: &[u8], kind: &str) -> Result<Self, ManifestError> {
        let unreadable = |reason: String| ManifestError::Unreadable {
            file: file.to_owned(),
            reason,
        };
        let text = std::str::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
        let documents = yaml::documents(file, text).map_err(|problems| unreadable(problems.to_string()))?;
        let manifest = documents
            .iter()
            .map(value)
            .find(|object| object.get("kind").and_then(Value::as_str) == Some(kind))
            .map(|object| Self { object })
            .ok_or_else(|| ManifestError::Kind {
                file: file.to_owned(),
                kind: kind.to_owned(),
            })?;
        match name::subdomain(kind, manifest.name()) {
            Some(fault) => Err(ManifestError::Name {
                file: file.to_owned(),
                fault,
            }),
            None => Ok(manifest),
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Returns the reference of the first container's image.
    pub fn image(&self) -> Option<&str> {
        self.object
            .pointer("/spec/template/spec/containers/0/image")?
            .as_str()
    }

    /// Puts it into a namespace, and marks it and its pods as the run's.
    #[must_use]
    pub fn within(mut self, namespace: &str, labels: &Map<String, Value>) -> Self {
        let mut marked = vec!["/metadata"];
        if self.object.pointer("/spec/template").is_some() {
            marked.push("/spec/template/metadata");
        }
        for place in marked {
            if let Some(Value::Object(meta)) = self.object.pointer_mut(place) {
                let own = meta.entry("labels").or_insert_with(|| json!({}));
                if let Value::Object(own) = own {
                    own.extend(labels.clone());
                }
            }
        }
        self.set("/metadata", "namespace", json!(namespace));
        self
    }

    /// Tells it apart from the objects of other runs in the same namespace: by its name, by what it selects, by its owners.
    pub(super) fn apart(&mut self, name: &str, (label, run): (&str, &str), owners: &[OwnerReference]) {
        self.set("/metadata", "name", json!(name));
        self.set("/metadata", "ownerReferences", json!(owners));
        let labels = "/spec/selector/matchLabels";
        let selects = self.object.pointer(labels).map_or("/spec/selector", |_| labels);
        let mut places = vec![selects.to_owned()];
        let spread = "/spec/template/spec/topologySpreadConstraints";
        let count = self
            .object
            .pointer(spread)
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        places.extend((0..count).map(|at| format!("{spread}/{at}/labelSelector/matchLabels")));
        for place in places {
            self.set(&place, label, json!(run));
        }
    }

    /// Adds to the list that a field of the mapping at `place` (a JSON pointer) holds.
    pub fn push(&mut self, place: &str, field: &str, value: Value) {
        if let Some(Value::Object(map)) = self.object.pointer_mut(place)
            && let Value::Array(list) = map.entry(field).or_insert_with(|| json!([]))
        {
            list.push(value);
        }
    }

    /// Sets a field of the mapping at `place` (a JSON pointer).
    pub fn set(&mut self, place: &str, field: &str, value: Value) {
        if let Some(Value::Object(map)) = self.object.pointer_mut(place) {
            map.insert(field.to_owned(), value);
        }
    }
}

/// Returns a YAML node as JSON, by YAML's core schema.
fn value(node: &Node) -> Value {
    match &node.value {
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(fields) => fields
            .iter()
            .map(|(key, node)| (key.value.clone(), value(node)))
            .collect(),
        Yaml::Scalar { text, plain: false } => Value::from(text.as_str()),
        Yaml::Scalar { text, plain: true } => match text.as_str() {
            "" | "~" | "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => text
                .parse::<i64>()
                .map_or_else(|_| Value::from(text), Value::from),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\napiVersion: apps/v1\nkind: Deployment\n\
        metadata:\n  name: nginx\nspec:\n  replicas: 1\n  template:\n    metadata: {labels: {app: nginx}}\n    spec:\n\
        \x20     containers: [{name: nginx, image: \"a:1\", args: [\"10\"], stdin: false}]\n";

    #[test]
    fn the_object_of_a_kind_is_found_and_marked() {
        let manifest = Manifest::parse("d.yaml", TEXT.as_bytes(), "Deployment").unwrap();
        let labels: Map<String, Value> = [("run".to_owned(), json!("x"))].into_iter().collect();
        let manifest = manifest.within("verifier-x", &labels);
        assert_eq!((manifest.name(), manifest.image()), ("nginx", Some("a:1")));
        assert_eq!(
            manifest.object.pointer("/metadata/namespace"),
            Some(&json!("verifier-x"))
        );
        let labels = manifest.object.pointer("/spec/template/metadata/labels").unwrap();
        assert_eq!(labels, &json!({"app": "nginx", "run": "x"}));
        assert_eq!(manifest.object.pointer("/spec/replicas"), Some(&json!(1)));
        assert_eq!(
            manifest.object.pointer("/spec/template/spec/containers/0/args/0"),
            Some(&json!("10"))
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = Manifest::parse("d.yaml", TEXT.as_bytes(), "Secret").unwrap_err();
        assert_eq!(error.to_string(), "d.yaml holds no Secret");
        assert!(Manifest::parse("d.yaml", b"\xff", "Secret").is_err());
    }
}
