//! What the site changes of the suite's own objects: where they are made, what they run, who may take them. Values only.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The port that nginx's own image listens on.
pub const HTTP: u16 = 80;
/// The title of nginx's own page.
pub const TITLE: &str = "Welcome to nginx!";
/// The user of nginx's own images, root's or not.
const NGINX: u32 = 101;
/// The first port that everybody may listen on.
pub(super) const UNPRIVILEGED: u16 = 1024;

/// What the site changes of the suite; each field is absent where the suite's own holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuiteSettings {
    /// An existing namespace; absent: each run makes one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What the pods run, in place of the bundle's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A Secret of that namespace by which a registry lets the nodes pull; absent: nothing is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<String>,
    /// Where the pods listen; absent: 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The title of the image's own page; absent: that of nginx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Which taints the pods tolerate besides those of the hosts' roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// The labels of the Nodes that take pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// More labels of all objects and pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What a pod asks for and may take; absent: the suite's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Whom the pods run as; absent: the suite's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
}

/// A taint that pods tolerate (Kubernetes' Toleration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `Equal` or `Exists`.
    pub operator: String,
    /// Its value, where the operator is `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// What a pod asks for and may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// What it asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// What it may take.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
}

/// Whom the pods run as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurityContext {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<u32>,
    /// The group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<u32>,
    /// The group of volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<u32>,
    /// Whether nothing of the image's own may be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}

impl Toleration {
    /// Returns whether it lets pods onto a Node with this taint.
    pub fn tolerates(&self, key: &str, value: &str, effect: &str) -> bool {
        let is = |own: &Option<String>, other: &str| own.as_ref().is_none_or(|own| own == other);
        let same = self.operator == "Exists" || self.value.as_deref().unwrap_or_default() == value;
        is(&self.key, key) && is(&self.effect, effect) && same
    }
}

impl SuiteSettings {
    /// Returns whether nothing is changed.
    pub fn is_own(&self) -> bool {
        *self == Self::default()
    }

    /// Returns where the pods listen.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(HTTP)
    }

    /// Returns the title of the page that the pods serve.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(TITLE)
    }

    /// Returns whether nginx is started with a configuration of the suite's own: where it is to listen elsewhere than its
    /// image does. An image with a title of its own is started as it is.
    pub const fn is_configured(&self) -> bool {
        self.port.is_some() && self.title.is_none()
    }

    /// Returns whether the pods are made as `PodSecurity` `restricted` wants them: where no port needs root.
    pub fn is_restricted(&self) -> bool {
        self.port() >= UNPRIVILEGED
    }

    /// Returns the user that the pods run as; absent: the image's own.
    pub fn user(&self) -> Option<u32> {
        match self.security_context {
            // Somebody else may give the user: OpenShift does, by the namespace.
            Some(context) => context.run_as_user,
            None if self.is_restricted() && self.is_configured() => Some(NGINX),
            None => None,
        }
    }

    /// Returns whether the nodes may pull the image.
    pub const fn pulls(&self) -> bool {
        self.pull_secret.is_some()
    }

    /// Returns whether a Node with these labels takes pods.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.node_selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(
        key: Option<&str>,
        operator: &str,
        value: Option<&str>,
        effect: Option<&str>,
    ) -> Toleration {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Toleration {
            key: own(key),
            operator: operator.to_owned(),
            value: own(value),
            effect: own(effect),
        }
    }

    #[test]
    fn a_toleration_lets_onto_nodes_with_that_taint_and_no_other() {
        let one = toleration(Some("team"), "Equal", Some("a"), Some("NoSchedule"));
        assert!(one.tolerates("team", "a", "NoSchedule"));
        assert!(!one.tolerates("team", "b", "NoSchedule") && !one.tolerates("team", "a", "NoExecute"));
        assert!(!one.tolerates("other", "a", "NoSchedule"));
        let any = toleration(None, "Exists", None, None);
        assert!(any.tolerates("whatever", "x", "NoExecute"));
        // Without a value only a taint without one is equal.
        assert!(!toleration(Some("team"), "Equal", None, None).tolerates("team", "a", "NoSchedule"));
    }

    #[test]
    fn pods_run_as_root_only_where_their_port_needs_it() {
        let high = SuiteSettings {
            port: Some(8080),
            ..SuiteSettings::default()
        };
        assert!(high.is_restricted() && high.is_configured());
        assert_eq!(high.user(), Some(NGINX));
        let titled = SuiteSettings {
            title: Some("It works".to_owned()),
            ..high.clone()
        };
        assert!(titled.is_restricted() && !titled.is_configured());
        assert_eq!((titled.user(), titled.title()), (None, "It works"));
        let given = SuiteSettings {
            security_context: Some(SecurityContext::default()),
            ..high
        };
        assert_eq!(given.user(), None);
        assert!(!SuiteSettings::default().is_restricted());
    }
}
