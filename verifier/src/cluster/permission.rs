//! What is asked of the API, as RBAC names it.

use std::fmt;

use serde::Serialize;

/// What a check asks of the API, as RBAC names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Permission {
    /// `get`, `list`, `create` …
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with its subresource behind a slash.
    pub resource: &'static str,
    /// Whether it is asked within the run's namespace; else in the whole cluster.
    pub namespaced: bool,
}

impl Permission {
    /// Returns a permission in the run's namespace.
    pub const fn within(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self {
            verb,
            group,
            resource,
            namespaced: true,
        }
    }

    /// Returns a permission in the whole cluster.
    pub const fn across(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self {
            verb,
            group,
            resource,
            namespaced: false,
        }
    }

    /// Returns whether whoever uses it makes nothing, changes nothing and runs nothing.
    pub fn reads(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch") && !self.resource.contains('/')
            || self.resource == "selfsubjectaccessreviews"
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}
