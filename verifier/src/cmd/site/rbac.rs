//! `verifier site rbac`: the least rights for the chosen checks, as objects that `kubectl apply` takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use clap::Args;
use cli::Failure;

use super::super::connect;
use super::super::smoke::Choice;
use crate::run;
use crate::site::SuiteSettings;
use crate::suite::Check;
use crate::suite::fixtures::permissions;

#[derive(Debug, Args)]
pub(in crate::cmd) struct RbacArgs {
    /// The site file: where it names a namespace for the suite, what is asked there is asked there alone
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// What the ClusterRole is called
    #[arg(long, value_name = "NAME", default_value = "verifier", value_parser = name)]
    name: String,
    /// Bind it to this user: the CN of a client certificate, or what the token's issuer says
    #[arg(long, value_name = "USER", group = "subject")]
    user: Option<String>,
    /// Bind it to this group
    #[arg(long, value_name = "GROUP", group = "subject")]
    group: Option<String>,
    /// Bind it to this service account
    #[arg(long, value_name = "NAMESPACE:NAME", group = "subject", value_parser = account)]
    service_account: Option<(String, String)>,
}

/// Reads a name of an object of the API.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
    if text.is_empty() || text.len() > 253 || !text.chars().all(plain) {
        return Err(format!(
            "{text:?} is no name: lower-case letters, digits, '-', '.' and ':'"
        ));
    }
    Ok(text.to_owned())
}

fn account(text: &str) -> Result<(String, String), String> {
    let (namespace, of) = text.split_once(':').ok_or("NAMESPACE:NAME")?;
    Ok((name(namespace)?, name(of)?))
}

pub(super) fn rbac(args: &RbacArgs) -> Result<u8, Failure> {
    let checks = args.choice.checks()?;
    let settings = match &args.site {
        Some(path) => connect::read_site(path)?.suite,
        None => SuiteSettings::default(),
    };
    let mut text = role(&args.name, &checks, &settings);
    if let Some(subject) = args.subject() {
        text.push_str(&binding(&args.name, &subject, None));
        if let Some(namespace) = &settings.namespace {
            text.push_str(&binding(&args.name, &subject, Some(namespace)));
        }
    }
    cli::write_text(&mut io::stdout(), &text)?;
    Ok(cli::exit::PASS)
}

impl RbacArgs {
    /// Returns whom the role is bound to, as a line of YAML.
    fn subject(&self) -> Option<String> {
        let of = |kind: &str, name: &str| {
            let name = serde_json::Value::from(name);
            format!("{{kind: {kind}, apiGroup: rbac.authorization.k8s.io, name: {name}}}")
        };
        let user = self.user.as_deref().map(|name| of("User", name));
        let group = self.group.as_deref().map(|name| of("Group", name));
        let account = self.service_account.as_ref();
        let account = account.map(|(namespace, name)| {
            format!("{{kind: ServiceAccount, namespace: {namespace}, name: {name}}}")
        });
        user.or(group).or(account)
    }
}

/// What is asked of a resource.
#[derive(Default)]
struct Rule {
    verbs: BTreeSet<&'static str>,
    /// The checks that ask.
    by: BTreeSet<&'static str>,
}

/// Returns the role: a rule for each resource and set of verbs, with the checks that ask for it. Where the site names a
/// namespace, what is asked within it is in a role of its own.
fn role(name: &str, checks: &[Check], settings: &SuiteSettings) -> String {
    let mut across: BTreeMap<(&str, &str), Rule> = BTreeMap::new();
    let mut within: BTreeMap<(&str, &str), Rule> = BTreeMap::new();
    let of_runs = run::PERMISSIONS
        .iter()
        .map(|permission| (*permission, BTreeSet::from(["every run"])));
    for (permission, by) in permissions(checks, settings).into_iter().chain(of_runs) {
        let apart = settings.namespace.is_some() && permission.namespaced;
        let rules = if apart { &mut within } else { &mut across };
        let rule = rules.entry((permission.group, permission.resource)).or_default();
        rule.verbs.insert(permission.verb);
        rule.by.extend(by);
    }
    let mut out = format!("# The least that {} checks ask of the API.", checks.len());
    let Some(namespace) = &settings.namespace else {
        out += " The run's namespace has another name each time, so what it asks there is\n# asked for all namespaces.\n";
        return out + &object("ClusterRole", &format!("{{name: \"{name}\"}}"), across);
    };
    out += "\n";
    out += &object("ClusterRole", &format!("{{name: \"{name}\"}}"), across);
    out += "---\n";
    let metadata = format!("{{name: \"{name}\", namespace: \"{namespace}\"}}");
    out + &object("Role", &metadata, within)
}

fn object(kind: &str, metadata: &str, rules: BTreeMap<(&str, &str), Rule>) -> String {
    let mut out =
        format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {metadata}\nrules:\n");
    for ((group, resource), rule) in rules {
        let by: Vec<&str> = rule.by.into_iter().collect();
        let verbs: Vec<&str> = rule.verbs.into_iter().collect();
        let _ = writeln!(
            out,
            "  # {}\n  - {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [{}]}}",
            by.join(", "),
            verbs.join(", ")
        );
    }
    out
}

fn binding(name: &str, subject: &str, namespace: Option<&str>) -> String {
    let kind = if namespace.is_some() {
        "Role"
    } else {
        "ClusterRole"
    };
    let place = namespace.map_or_else(String::new, |namespace| format!(", namespace: \"{namespace}\""));
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata: {{name: \"{name}\"{place}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: \"{name}\"}}\nsubjects:\n  - {subject}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;

    #[test]
    fn every_verb_of_the_chosen_checks_is_in_the_role_once_and_no_other() {
        let nodes: Vec<Check> = checks::all()
            .filter(|check| check.id == "nodes.ready")
            .copied()
            .collect();
        let text = role("verifier", &nodes, &SuiteSettings::default());
        let documents = yaml::documents("role.yaml", &text).unwrap();
        let rules = documents[0].get("rules").unwrap().items();
        for permission in nodes[0].asks() {
            let resource = format!("resources: [\"{}\"]", permission.resource);
            let line = text.lines().find(|line| line.contains(&resource)).unwrap();
            assert!(line.contains(permission.verb), "{line}");
        }
        assert!(!text.contains("secrets"), "{text}");
        assert_eq!(rules.len(), text.matches("apiGroups").count());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        assert!(name("site:verifier").is_ok());
        assert!(name("a\nb").is_err() && name("A").is_err() && name("").is_err());
        assert!(account("kube-system").is_err());
    }
}
