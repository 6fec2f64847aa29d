//! One reading: each question once, with its answer. Whoever asks again within a reading gets the same answer, so that
//! what was asked next because of it is there too when it is judged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::{Refusal, Request};

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer<T> {
    /// What was said.
    Ok(T),
    /// It could not be done.
    Err(Refusal),
    /// Nothing came within so many milliseconds.
    Late(u64),
    /// The answer was lost, and how.
    Lost(String),
}

/// Questions with their answers, both as JSON.
#[derive(Debug, Default)]
pub struct Reading {
    answers: Mutex<BTreeMap<String, Arc<str>>>,
    /// Where to look for what was not asked again.
    before: Option<Arc<Self>>,
}

impl Reading {
    /// Returns an empty reading, whose questions are answered by an earlier one where they were not asked again.
    pub fn after(before: Arc<Self>) -> Self {
        Self {
            answers: Mutex::default(),
            before: Some(before),
        }
    }

    /// Returns the key of a request to an agent.
    pub fn key(request: &Request) -> String {
        // Fields in the order of the alphabet, whatever order they are declared in.
        serde_json::to_value(request).unwrap_or(Value::Null).to_string()
    }

    /// Returns what was answered to the very question.
    pub fn get(&self, key: &str) -> Option<Arc<str>> {
        let own = self.answers.lock().ok()?.get(key).cloned();
        own.or_else(|| self.before.as_ref()?.get(key))
    }

    /// Returns what this reading itself has, without an earlier one.
    pub fn own(&self, key: &str) -> Option<Arc<str>> {
        self.answers.lock().ok()?.get(key).cloned()
    }

    /// Keeps an answer, unless there is one: the first of a reading counts. Returns the one that counts.
    pub fn keep(&self, key: String, answer: String) -> Arc<str> {
        match self.answers.lock() {
            Ok(mut answers) => Arc::clone(answers.entry(key).or_insert_with(|| answer.into())),
            Err(_) => answer.into(),
        }
    }

    /// Returns all questions of this reading with their answers.
    pub fn all(&self) -> Vec<(String, Arc<str>)> {
        let all = self.answers.lock().map(|answers| answers.clone());
        all.unwrap_or_default().into_iter().collect()
    }

    /// Returns what was said to each request of a kind, an earlier reading's behind this one's.
    pub(super) fn of_kind<T: DeserializeOwned>(&self, kind: &str) -> Vec<(Value, T)> {
        let mark = format!("\"ask\":\"{kind}\"");
        let said = |(key, answer): (String, Arc<str>)| {
            if !key.contains(&mark) {
                return None;
            }
            let question: Value = serde_json::from_str(&key).ok()?;
            if question.get("ask")? != kind {
                return None;
            }
            match serde_json::from_str(&answer).ok()? {
                Answer::Ok(said) => Some((question, said)),
                _ => None,
            }
        };
        let mut found: Vec<(Value, T)> = self.all().into_iter().filter_map(said).collect();
        found.extend(self.before.iter().flat_map(|before| before.of_kind(kind)));
        found
    }
}
