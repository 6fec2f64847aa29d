//! From the field `suite` of a site file to [`SuiteSettings`]. What the API server would refuse minutes later is a problem here.

use std::collections::BTreeMap;

use yaml::{Map, Node, Placed, Problems, boolean, entries, list, placed, text, unsigned};

use super::suite::{Resources, SecurityContext, SuiteSettings, Toleration, UNPRIVILEGED};
use super::values::port;

/// The prefixes of labels that are the suite's own: what it selects its pods by.
const OWN: [&str; 2] = ["verifier.dev/", "app.kubernetes.io/"];
/// The effects of a taint.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn suite(node: &Node, problems: &mut Problems) -> Option<SuiteSettings> {
    let mut map = node.map(problems)?;
    let namespace = map.optional("namespace", label_name);
    let image = map.optional("image", image);
    let pull_secret = map.optional("pullSecret", object_name);
    let port = map.optional("port", port);
    let title = map.optional("title", title);
    let tolerations = map.optional("tolerations", list(toleration));
    let node_selector = map.optional("nodeSelector", labels);
    let labels = map.optional("labels", own_labels);
    let resources = map.optional("resources", resources);
    let security_context = map.optional("securityContext", placed(security_context));
    if pull_secret.is_some() && namespace.is_none() && !map.has("namespace") {
        let place = map.place_of("pullSecret");
        map.problem(
            place,
            "a pullSecret lies in a namespace, and none is named: write namespace too",
        );
    }
    if pull_secret.is_some() && !map.has("image") {
        let place = map.place_of("pullSecret");
        map.problem(
            place,
            "a pullSecret without an image pulls nothing: write image too",
        );
    }
    if let Some(context) = &security_context {
        rootless(&mut map, context, port);
    }
    map.finish();
    Some(SuiteSettings {
        namespace,
        image,
        pull_secret,
        port,
        title,
        tolerations: tolerations.unwrap_or_default(),
        node_selector: node_selector.unwrap_or_default(),
        labels: labels.unwrap_or_default(),
        resources,
        security_context: security_context.map(|context| context.value),
    })
}

/// Notes what cannot go together: below 1024 a port needs root.
fn rootless(map: &mut Map<'_>, context: &Placed<SecurityContext>, port: Option<u16>) {
    let low = port.is_none_or(|port| port < UNPRIVILEGED);
    if low && context.value.run_as_user.is_some_and(|user| user != 0) {
        let message = "this user may not listen on a port below 1024: write port: 8080 too";
        map.problem(context.place, message);
    }
    if !low && context.value.run_as_user == Some(0) {
        let message = "a port from 1024 on needs no root, and the suite's pods then refuse to run as root: leave runAsUser out";
        map.problem(context.place, message);
    }
}

fn toleration(node: &Node, problems: &mut Problems) -> Option<Toleration> {
    let mut map = node.map(problems)?;
    let key = map.optional("key", label_key);
    let operator = map.optional("operator", placed(text));
    let value = map.optional("value", label_value);
    let effect = map.optional("effect", placed(text));
    let place = map.place();
    let exists = operator
        .as_ref()
        .is_some_and(|operator| operator.value == "Exists");
    if let Some(operator) = operator
        .as_ref()
        .filter(|operator| !["Equal", "Exists"].contains(&&*operator.value))
    {
        map.problem(
            operator.place,
            "this operator is not known: write Equal or Exists",
        );
    }
    if let Some(effect) = effect
        .as_ref()
        .filter(|effect| !EFFECTS.contains(&&*effect.value))
    {
        map.problem(
            effect.place,
            format!("this effect is not known: write {}", EFFECTS.join(", ")),
        );
    }
    if !exists && key.is_none() && !map.has("key") {
        map.problem(place, "a toleration without a key needs operator: Exists");
    }
    if exists && value.is_some() {
        map.problem(place, "operator: Exists takes no value");
    }
    map.finish();
    Some(Toleration {
        key,
        operator: operator.map_or_else(|| "Equal".to_owned(), |operator| operator.value),
        value,
        effect: effect.map(|effect| effect.value),
    })
}

fn resources(node: &Node, problems: &mut Problems) -> Option<Resources> {
    let mut map = node.map(problems)?;
    let requests = map.optional("requests", quantities);
    let limits = map.optional("limits", quantities);
    map.finish();
    Some(Resources {
        requests: requests.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
    })
}

fn security_context(node: &Node, problems: &mut Problems) -> Option<SecurityContext> {
    let mut map = node.map(problems)?;
    let context = SecurityContext {
        run_as_user: map.optional("runAsUser", unsigned),
        run_as_group: map.optional("runAsGroup", unsigned),
        fs_group: map.optional("fsGroup", unsigned),
        read_only_root_filesystem: map.optional("readOnlyRootFilesystem", boolean),
    };
    map.finish();
    Some(context)
}

fn quantities(node: &Node, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
    let all = entries(quantity)(node, problems)?;
    Some(all.into_iter().map(|(key, value)| (key.value, value)).collect())
}

/// Decodes a quantity: `250m`, `128Mi`, `1.5` (k8s.io/apimachinery, pkg/api/resource). A number needs no quotes.
fn quantity(node: &Node, problems: &mut Problems) -> Option<String> {
    const UNITS: [&str; 14] = [
        "", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let said = node.scalar().filter(|_| !node.is_null())?;
    let end = said
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(said.len());
    let (number, unit) = said.split_at(end);
    let figure = number.parse::<f64>().is_ok_and(|number| number >= 0.0) && number.len() <= 12;
    if figure && UNITS.contains(&unit) {
        return Some(said.to_owned());
    }
    problems.add_with_hint(
        node.place,
        "this is no quantity",
        "write one such as 250m, 1, 128Mi",
    );
    None
}

fn labels(node: &Node, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value) in entries(label_value)(node, problems)? {
        if is_label_key(&key.value) {
            all.insert(key.value, value);
        } else {
            problems.add(key.place, "this is no key of a label");
        }
    }
    Some(all)
}

fn own_labels(node: &Node, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
    let all = labels(node, problems)?;
    if all.keys().any(|key| OWN.iter().any(|own| key.starts_with(own))) {
        let message =
            "the suite knows its objects by their labels below verifier.dev/ and app.kubernetes.io/";
        problems.add_with_hint(node.place, message, "leave these labels out");
        return None;
    }
    Some(all)
}

fn label_key(node: &Node, problems: &mut Problems) -> Option<String> {
    checked(node, problems, is_label_key, "this is no key of a label or taint")
}

fn label_value(node: &Node, problems: &mut Problems) -> Option<String> {
    checked(
        node,
        problems,
        |text| text.is_empty() || is_qualified(text),
        "this is no value of a label",
    )
}

fn label_name(node: &Node, problems: &mut Problems) -> Option<String> {
    checked(node, problems, is_dns_label, "this is no name of a namespace")
}

fn object_name(node: &Node, problems: &mut Problems) -> Option<String> {
    let subdomain = |text: &str| text.len() <= 253 && text.split('.').all(is_dns_label);
    checked(node, problems, subdomain, "this is no name of an object")
}

/// Decodes the reference of an image. Which registry it means must be said: nodes differ in what they take for none.
fn image(node: &Node, problems: &mut Problems) -> Option<String> {
    let is_image = |text: &str| {
        let plain = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-:@/".contains(c));
        let registry = text
            .split_once('/')
            .is_some_and(|(registry, _)| registry.contains(['.', ':']) || registry == "localhost");
        let tail = text.rsplit('/').next().unwrap_or_default();
        plain && registry && !tail.is_empty() && tail.contains([':', '@'])
    };
    checked(
        node,
        problems,
        is_image,
        "an image is named with its registry and tag or digest, for example registry.example:5000/nginx:1.29",
    )
}

fn title(node: &Node, problems: &mut Problems) -> Option<String> {
    let plain = |text: &str| !text.is_empty() && text.len() <= 200 && !text.contains(['<', '>', '\n']);
    checked(node, problems, plain, "this is no title of a page")
}

fn checked(
    node: &Node,
    problems: &mut Problems,
    is_good: impl Fn(&str) -> bool,
    message: &str,
) -> Option<String> {
    let said = text(node, problems)?;
    if is_good(&said) {
        return Some(said);
    }
    problems.add(node.place, message);
    None
}

fn is_dns_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Returns whether a text is a qualified name without its prefix (k8s.io/apimachinery, `IsQualifiedName`).
fn is_qualified(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && text.chars().all(plain) && end(text.chars().next()) && end(text.chars().last())
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => {
            prefix.len() <= 253 && prefix.split('.').all(is_dns_label) && is_qualified(name)
        }
        None => is_qualified(text),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::site::{Site, parse};

    fn site(suite: &str) -> Result<Site, String> {
        let text = format!(
            "apiVersion: site/v1\nkubeconfig: k\nhosts:\n- {{name: a, address: 10.0.0.1, roles: [worker]}}\nsuite: {suite}\n"
        );
        parse("site.yaml", &text, Path::new("")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_is_read() {
        let suite = site(
            "{namespace: smoke, image: 'registry.example:5000/nginx:1.29', pullSecret: login, port: 8080, title: Hello, \
             tolerations: [{key: team, value: a, effect: NoSchedule}, {operator: Exists}], nodeSelector: {disk: ssd}, \
             labels: {cost-centre: '77'}, resources: {requests: {cpu: 1, memory: 64Mi}}, \
             securityContext: {runAsUser: 1000, fsGroup: 1000, readOnlyRootFilesystem: true}}",
        )
        .unwrap()
        .suite;
        assert_eq!((suite.namespace.as_deref(), suite.port()), (Some("smoke"), 8080));
        assert_eq!(suite.tolerations[0].operator, "Equal");
        assert_eq!(suite.resources.as_ref().unwrap().requests["cpu"], "1");
        assert_eq!(suite.user(), Some(1000));
        assert!(suite.pulls() && !suite.is_own());
        assert!(site("{}").unwrap().suite.is_own());
    }

    #[test]
    fn what_cannot_work_is_a_problem_with_its_place() {
        for (suite, part) in [
            (
                "{namespace: Smoke}",
                "site.yaml:5:20: this is no name of a namespace",
            ),
            ("{port: 0}", "the port must be"),
            ("{image: nginx}", "with its registry and tag"),
            ("{image: registry.example/nginx}", "with its registry and tag"),
            ("{image: 'r.example/nginx:1', pullSecret: a}", "none is named"),
            ("{namespace: a, pullSecret: a}", "pulls nothing"),
            ("{tolerations: [{operator: Exist}]}", "this operator is not known"),
            ("{tolerations: [{effect: NoSchedule}]}", "needs operator: Exists"),
            (
                "{tolerations: [{key: a, operator: Exists, value: b}]}",
                "takes no value",
            ),
            (
                "{tolerations: [{key: a, effect: Never}]}",
                "this effect is not known",
            ),
            (
                "{labels: {app.kubernetes.io/name: x}}",
                "knows its objects by their labels",
            ),
            ("{labels: {'a b': x}}", "no key of a label"),
            ("{nodeSelector: {a: 'b c'}}", "no value of a label"),
            ("{resources: {limits: {cpu: lots}}}", "no quantity"),
            ("{securityContext: {runAsUser: 1000}}", "below 1024"),
            ("{port: 443, securityContext: {runAsUser: 1000}}", "below 1024"),
            ("{port: 8080, securityContext: {runAsUser: 0}}", "needs no root"),
            ("{securityContext: {privileged: true}}", "unknown field"),
            ("{titel: x}", "did you mean \"title\"?"),
        ] {
            let error = site(suite).unwrap_err();
            assert!(error.contains(part), "{suite}: {error}");
        }
    }
}
