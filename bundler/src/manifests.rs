//! Kubernetes manifests that go into the bundle: the built-in suite, and the user's own, whose images must be in the
//! bundle. Pure: text in, problems out.

use bundle::Digest;
use yaml::{ImageField, Problems};

use crate::reference::Reference;

/// An image of the bundle as manifests may name it.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) name: Reference,
    /// What the name stands for; unknown before it is resolved.
    pub(crate) digest: Option<Digest>,
}

/// Reads a manifest and names every image that the bundle lacks. Gives what deserves a word of warning.
pub(crate) fn check(file: &str, text: &str, packed: &[Packed]) -> Result<Vec<String>, Problems> {
    let documents = yaml::documents(file, text)?;
    let mut problems = Problems::new(file);
    let mut warnings = Vec::new();
    for field in yaml::images(&documents) {
        match field.image.value.parse::<Reference>() {
            Err(error) => problems.add(field.image.place, error.to_string()),
            Ok(wanted) if packed.iter().any(|packed| serves(packed, &wanted)) => {
                warnings.extend(warning(file, &field, &wanted));
            }
            Ok(wanted) => missing(&field, &wanted, packed, &mut problems),
        }
    }
    problems.into_result(Some(warnings))
}

/// Returns whether a runtime that has loaded `packed` finds `wanted` without a pull.
fn serves(packed: &Packed, wanted: &Reference) -> bool {
    match wanted.digest() {
        None => packed.name.name() == wanted.name(),
        // By digest the runtime looks for REPOSITORY@DIGEST, whatever the tag.
        Some(digest) => {
            packed.name.same_repository(wanted) && packed.digest.is_none_or(|packed| packed == digest)
        }
    }
}

fn missing(field: &ImageField, wanted: &Reference, packed: &[Packed], problems: &mut Problems) {
    let message = format!("the image {wanted} is not in the bundle");
    let names: Vec<String> = packed.iter().map(|packed| packed.name.name()).collect();
    let same = packed.iter().find(|packed| packed.name.same_repository(wanted));
    let close = yaml::closest(&wanted.name(), names.iter().map(String::as_str));
    let hint = match (same, close) {
        (Some(packed), _) => format!("the bundle has {}", packed.name.name()),
        (None, Some(close)) => format!("did you mean {close}?"),
        (None, None) => "add it to images in the spec".to_owned(),
    };
    problems.add_with_hint(field.image.place, message, hint);
}

/// Returns a warning where a kubelet would ask a registry although the image is there (core/v1, Container:
/// imagePullPolicy defaults to Always for the tag latest, else to IfNotPresent).
fn warning(file: &str, field: &ImageField, wanted: &Reference) -> Option<String> {
    let policy = field.policy.as_ref().map(|policy| policy.value.as_str());
    let latest = wanted.digest().is_none() && wanted.tag() == Some("latest");
    let why = match policy {
        Some("Always") => "imagePullPolicy is Always",
        None if latest => "the tag latest means imagePullPolicy Always",
        _ => return None,
    };
    let place = field.image.place;
    Some(format!(
        "{file}:{}:{}: {why}: pods of {wanted} fail where there is no registry",
        place.line, place.column
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed() -> Vec<Packed> {
        let image = |name: &str, digest| Packed {
            name: name.parse().unwrap(),
            digest,
        };
        vec![
            image("nginx:1.29", None),
            image("r.example/app:2", Some(Digest::of("app"))),
        ]
    }

    fn pod(image: &str) -> String {
        format!("kind: Pod\nspec:\n  containers:\n    - name: a\n      image: {image}\n")
    }

    #[test]
    fn images_are_found_under_any_form_of_their_name() {
        for image in ["nginx:1.29", "docker.io/library/nginx:1.29", "r.example/app:2"] {
            assert!(
                check("m.yaml", &pod(image), &packed()).unwrap().is_empty(),
                "{image}"
            );
        }
        let digest = Digest::of("app");
        assert!(check("m.yaml", &pod(&format!("r.example/app:9@{digest}")), &packed()).is_ok());
        let other = Digest::of("other");
        assert!(check("m.yaml", &pod(&format!("r.example/app@{other}")), &packed()).is_err());
    }

    #[test]
    fn a_missing_image_is_named_with_its_place_and_what_is_there() {
        let problem = |image: &str| check("m.yaml", &pod(image), &packed()).unwrap_err().to_string();
        assert_eq!(
            problem("nginx:1.30"),
            "m.yaml:5:14: the image docker.io/library/nginx:1.30 is not in the bundle (the bundle has docker.io/library/nginx:1.29)"
        );
        assert!(problem("r.example/ap:2").ends_with("(did you mean r.example/app:2?)"));
        assert!(problem("redis:7").ends_with("(add it to images in the spec)"));
        assert!(problem("NGINX").contains("m.yaml:5:14: not an image reference"));
    }

    #[test]
    fn policies_that_pull_are_warned_of() {
        let text = "kind: Pod\nspec: {containers: [{image: nginx:1.29, imagePullPolicy: Always}]}\n";
        let warnings = check("m.yaml", text, &packed()).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("m.yaml:2:29: imagePullPolicy is Always"));
        let latest = [Packed {
            name: "a".parse().unwrap(),
            digest: None,
        }];
        assert_eq!(check("m.yaml", &pod("a"), &latest).unwrap().len(), 1);
    }
}
