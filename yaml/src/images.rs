//! The images that Kubernetes manifests name, each with its place.

use crate::node::{Node, Placed, Value};

/// An image that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageField {
    /// The reference as it is written, and where.
    pub image: Placed<String>,
    /// The container's `imagePullPolicy`, where it is written.
    pub policy: Option<Placed<String>>,
}

/// The lists of a pod spec that hold containers (core/v1 PodSpec).
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Returns every image of the documents: of containers in pods, in templates of any workload (also of kinds that
/// are not Kubernetes' own), in items of a List; and of image volumes.
pub fn images(documents: &[Node]) -> Vec<ImageField> {
    let mut found = Vec::new();
    for document in documents {
        walk(document, &mut found);
    }
    found
}

fn walk(node: &Node, found: &mut Vec<ImageField>) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::Sequence(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Mapping(fields) => {
            for (key, value) in fields {
                if CONTAINERS.contains(&key.value.as_str()) {
                    let images = value.items().iter();
                    found
                        .extend(images.filter_map(|item| field(item, item.get("image")?, "imagePullPolicy")));
                }
                if key.value == "volumes" {
                    let images = value.items().iter().filter_map(|volume| volume.get("image"));
                    found.extend(
                        images.filter_map(|image| field(image, image.get("reference")?, "pullPolicy")),
                    );
                }
                walk(value, found);
            }
        }
    }
}

fn field(owner: &Node, image: &Node, policy: &str) -> Option<ImageField> {
    let placed = |node: &Node| {
        Some(Placed {
            place: node.place,
            value: node.scalar().filter(|text| !text.is_empty())?.to_owned(),
        })
    };
    Some(ImageField {
        image: placed(image)?,
        policy: owner.get(policy).and_then(placed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_in_every_workload_and_only_there() {
        let text = r"
apiVersion: v1
kind: Pod
metadata: {name: image, annotations: {image: not-this}}
spec:
  initContainers: [{name: i, image: init:1}]
  containers:
    - {name: a, image: app:2, imagePullPolicy: Always, env: [{name: image, value: x}]}
  ephemeralContainers: [{name: e, image: debug:3}]
  volumes: [{name: v, image: {reference: models:4, pullPolicy: Never}}]
---
apiVersion: batch/v1
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: j, image: job:5}]}}}}}
---
apiVersion: v1
kind: List
items:
  - {kind: Deployment, spec: {template: {spec: {containers: [{image: list:6}]}}}}
---
kind: CustomResourceDefinition
spec: {versions: [{schema: {properties: {containers: {type: array, items: {properties: {image: {type: string}}}}}}}]}
---
kind: ConfigMap
data: {image: text, containers: '[{image: nope}]'}
";
        let found = images(&crate::documents("m.yaml", text).unwrap());
        let names: Vec<&str> = found.iter().map(|field| field.image.value.as_str()).collect();
        assert_eq!(
            names,
            ["init:1", "app:2", "debug:3", "models:4", "job:5", "list:6"]
        );
        assert_eq!(found[0].image.place.line, 6);
        assert_eq!(found[1].policy.as_ref().unwrap().value, "Always");
        assert_eq!(found[3].policy.as_ref().unwrap().value, "Never");
    }
}
