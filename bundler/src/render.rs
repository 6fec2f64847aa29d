//! The templates of `manifests/` and `templates/`, filled in. The one home of minijinja.

use bundle::Image;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use crate::spec::Crictl;

const DEPLOYMENT: &str = include_str!("../../manifests/deployment.yaml");
const SERVICE: &str = include_str!("../../manifests/service.yaml");
const SECRET: &str = include_str!("../../manifests/secret.yaml");
const CRICTL: &str = include_str!("../../templates/crictl.yaml");
const README: &str = include_str!("../../templates/bundle-readme.txt");

/// The commented spec that `bundler init` writes.
pub(crate) const SPEC: &str = include_str!("../../templates/bundle.yaml");

/// A template that could not be filled in: a mistake of this program, not of its user.
#[derive(Debug, thiserror::Error)]
#[error("cannot render {name}")]
pub(crate) struct RenderError {
    name: &'static str,
    source: minijinja::Error,
}

/// What the bundle's own README says.
#[derive(Serialize)]
pub(crate) struct Readme<'a> {
    pub(crate) name: &'a str,
    pub(crate) tool: &'a str,
    pub(crate) platforms: Vec<String>,
    pub(crate) images: &'a [Image],
    pub(crate) verifiers: Vec<&'a str>,
    pub(crate) manifests: Vec<&'a str>,
    pub(crate) files: Vec<&'a str>,
}

/// Returns the smoke suite's objects, by file name.
pub(crate) fn smoke(image: &str) -> Result<Vec<(&'static str, String)>, RenderError> {
    [
        ("deployment.yaml", DEPLOYMENT),
        ("service.yaml", SERVICE),
        ("secret.yaml", SECRET),
    ]
    .into_iter()
    .map(|(name, template)| Ok((name, render(name, template, context! { image })?)))
    .collect()
}

/// Returns crictl.yaml.
pub(crate) fn crictl(crictl: &Crictl) -> Result<String, RenderError> {
    let setting = |(key, value): &(&'static str, String)| context! { key => *key, value => value.as_str() };
    let settings: Vec<Value> = crictl.settings.iter().map(setting).collect();
    render("crictl.yaml", CRICTL, context! { settings })
}

/// Returns the bundle's README.txt.
pub(crate) fn readme(readme: &Readme<'_>) -> Result<String, RenderError> {
    render("README.txt", README, Value::from(minijinja::value::Serde(readme)))
}

/// Fills a template in; its own last newline is kept.
fn render(name: &'static str, template: &str, values: Value) -> Result<String, RenderError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut text = environment
        .render_str(template, values)
        .map_err(|source| RenderError { name, source })?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_yaml_that_names_its_image_and_pulls_nothing() {
        let image = "docker.io/library/nginx:1.29";
        let mut found = Vec::new();
        let mut kinds = Vec::new();
        for (name, text) in smoke(image).unwrap() {
            let documents = yaml::documents(name, &text).unwrap();
            kinds.extend(
                documents[0]
                    .get("kind")
                    .and_then(|kind| kind.scalar())
                    .map(str::to_owned),
            );
            found.extend(yaml::images(&documents));
        }
        assert_eq!(kinds, ["Deployment", "Service", "Secret"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].image.value, image);
        assert_eq!(found[0].policy.as_ref().unwrap().value, "Never");
    }

    #[test]
    fn crictl_yaml_has_a_line_a_setting() {
        let settings = vec![
            ("runtime-endpoint", "unix:///run/x.sock".to_owned()),
            ("timeout", "10".to_owned()),
        ];
        let text = crictl(&Crictl { settings }).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["runtime-endpoint: unix:///run/x.sock", "timeout: 10"]);
        yaml::documents("crictl.yaml", &text).unwrap();
    }

    #[test]
    fn the_readme_lists_what_is_inside() {
        let text = readme(&Readme {
            name: "smoke",
            tool: "bundler 0.1.0",
            platforms: vec!["linux/amd64".to_owned()],
            images: &[],
            verifiers: vec!["verifier-linux-amd64"],
            manifests: vec!["manifests/smoke/service.yaml"],
            files: vec![],
        })
        .unwrap();
        insta::assert_snapshot!(text);
    }
}
