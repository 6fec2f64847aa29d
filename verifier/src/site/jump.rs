//! The bastions before a host: `user@host:port`, several of them in the order in which they are passed. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use yaml::{Node, Problems, text};

use super::values::is_address;

/// A bastion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Jump {
    /// The user there; absent: the host's own.
    pub user: Option<String>,
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A text that is no bastion.
#[derive(Debug, thiserror::Error)]
#[error("not of the form user@host:port")]
pub struct NoJump;

impl FromStr for Jump {
    type Err = NoJump;

    fn from_str(text: &str) -> Result<Self, NoJump> {
        let fail = || NoJump;
        let (user, address) = match text.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, text),
        };
        if user.is_some_and(str::is_empty) {
            return Err(fail());
        }
        let (name, port) = match address.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (address, None),
        };
        let port = port.map_or(Ok(22), str::parse).map_err(|_| fail())?;
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let host = bare.unwrap_or(name).to_owned();
        if port == 0 || !is_address(&host) {
            return Err(fail());
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host,
            port,
        })
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for Jump {
    type Error = NoJump;

    fn try_from(text: String) -> Result<Self, NoJump> {
        text.parse()
    }
}

impl From<Jump> for String {
    fn from(jump: Jump) -> Self {
        jump.to_string()
    }
}

/// Decodes a bastion, several behind each other with commas as in OpenSSH's ProxyJump or as a list, or `none`.
pub(super) fn bastion(node: &Node, problems: &mut Problems) -> Option<Vec<Jump>> {
    let mut jumps = Vec::new();
    let nodes = if node.items().is_empty() {
        std::slice::from_ref(node)
    } else {
        node.items()
    };
    for node in nodes {
        let text = text(node, problems)?;
        if text == "none" && nodes.len() == 1 {
            return Some(jumps);
        }
        for part in text.split(',') {
            match part.trim().parse() {
                Ok(jump) => jumps.push(jump),
                Err(error) => problems.add(node.place, error.to_string()),
            }
        }
    }
    Some(jumps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bastion_has_a_user_a_host_and_a_port() {
        let jump = |text: &str| text.parse::<Jump>().unwrap().to_string();
        assert_eq!(jump("bastion"), "bastion:22");
        assert_eq!(jump("a@b@10.0.0.1:2222"), "a@b@10.0.0.1:2222");
        assert_eq!(jump("root@[fd00::1]:2222"), "root@[fd00::1]:2222");
        assert_eq!(jump("root@fd00::1"), "root@[fd00::1]:22");
        for bad in [
            "",
            "@bastion",
            "root@",
            "bastion:0",
            "bastion:70000",
            "bastion:ssh",
            "a b",
            "-oProxy=x",
        ] {
            assert!(bad.parse::<Jump>().is_err(), "{bad}");
        }
    }

    #[test]
    fn several_bastions_stand_in_their_order_in_either_form() {
        let read = |text: &str| yaml::decode("site.yaml", text, bastion).unwrap();
        let both = ["root@a:22", "b:2222"];
        for text in ["root@a, b:2222", "[root@a, \"b:2222\"]"] {
            let jumps: Vec<String> = read(text).iter().map(Jump::to_string).collect();
            assert_eq!(jumps, both, "{text}");
        }
        assert!(read("none").is_empty());
        assert!(yaml::decode("site.yaml", "root@a,,b", bastion).is_err());
    }
}
