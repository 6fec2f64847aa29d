//! Whether a Node may run the pods of an object, as the scheduler sees it (Kubernetes, component-helpers/scheduling/corev1).

use super::Place;
use crate::cluster::{NamingFacts, Requirement, TaintFacts, Term, Toleration};

/// Taints of a condition of a Node: they go with it. Cordoning is one of them.
const CONDITIONS: &str = "node.kubernetes.io/";

/// Returns whether a Node may run an object's pods.
pub(super) fn may_run(object: &NamingFacts, node: &Place) -> bool {
    let place = &object.place;
    if let Some(name) = place.node_name.as_deref().filter(|name| !name.is_empty()) {
        return name == node.name;
    }
    let selected = place
        .node_selector
        .iter()
        .all(|(key, value)| node.labels.get(key) == Some(value));
    let term = place.terms.is_empty() || place.terms.iter().any(|term| meets(term, node));
    let mut away = node
        .taints
        .iter()
        .filter(|taint| taint.keeps_away() && !taint.key.starts_with(CONDITIONS));
    selected
        && term
        && away.all(|taint| {
            place
                .tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
        })
}

/// A term that asks nothing is met by no Node.
fn meets(term: &Term, node: &Place) -> bool {
    let labels = term
        .match_expressions
        .iter()
        .all(|one| requires(one, node.labels.get(&one.key).map(String::as_str)));
    let fields = term.match_fields.iter().all(|one| {
        let name = (one.key == "metadata.name").then_some(node.name.as_str());
        requires(one, name)
    });
    let asks = !term.match_expressions.is_empty() || !term.match_fields.is_empty();
    asks && labels && fields
}

fn requires(requirement: &Requirement, value: Option<&str>) -> bool {
    let values = &requirement.values;
    let listed = || value.is_some_and(|value| values.iter().any(|other| other == value));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let bound = || number(values.first().map(String::as_str));
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number(value)
            .zip(bound())
            .is_some_and(|(value, bound)| value > bound),
        "Lt" => number(value)
            .zip(bound())
            .is_some_and(|(value, bound)| value < bound),
        // One that is not known forbids nothing: that it would is not known either.
        _ => true,
    }
}

fn tolerates(toleration: &Toleration, taint: &TaintFacts) -> bool {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let effect = given(&toleration.effect).is_none_or(|effect| effect == taint.effect);
    let key = given(&toleration.key).is_none_or(|key| key == taint.key);
    let value = toleration.value.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    effect && key && (exists || (value == taint.value && given(&toleration.key).is_some()))
}
