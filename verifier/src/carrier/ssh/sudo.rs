//! What sudo asks and says: that of Todd Miller, sudo-rs, and the modules of PAM that speak through both. Pure, but for
//! the answer. Its words are English: it is started with `LC_ALL=C`.

use std::time::Duration;

use secrets::{Secret, Wiped};

use super::exec::{Running, State};

/// How long something that looks like a question of PAM may stand there until it is taken for one.
const QUIET: Duration = Duration::from_secs(5);
/// What sudo-rs puts before the prompt it is given; behind it come a bracket and PAM's own question.
const RS: &str = "[sudo: ";

/// How sudo is talked to: by a prompt that nobody can foresee, so that nothing else than sudo gets the password.
#[derive(Clone, Debug)]
pub(super) struct Prompt(String);

/// What sudo asked for that it will not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The password again, or one although there is none.
    Password,
    /// Something else: a second factor, a new password.
    More(String),
}

/// Why sudo did not start the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It wants a password.
    PasswordNeeded,
    /// The password is wrong.
    PasswordWrong,
    /// The password, or the account, is over.
    Expired,
    /// The account is locked, or over.
    Locked,
    /// It wants a terminal.
    Terminal,
}

impl Prompt {
    /// Takes a text that nobody can foresee.
    pub(super) fn new(token: &str) -> Self {
        Self(format!("[verifier-{token}]"))
    }

    /// Returns it as sudo is given it.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Returns what stands on stderr without the prompts.
    pub(super) fn without(&self, errors: &str) -> String {
        errors
            .replace(&format!("{RS}{}] ", self.0), "")
            .replace(&self.0, "")
    }

    /// Returns why sudo refused. A password that it refuses without having asked for one is an account that is locked:
    /// pam_faillock ends the login before, and most sudos do not show its words.
    pub(super) fn verdict(&self, errors: &str) -> Option<Said> {
        match said(errors) {
            Some(Said::PasswordWrong) if !errors.contains(&self.0) => Some(Said::Locked),
            said => said,
        }
    }

    /// Returns the questions that were asked by it so far.
    fn asked<'a>(&self, errors: &'a str) -> Vec<Question<'a>> {
        let mut questions = Vec::new();
        let mut rest = errors;
        while let Some((before, after)) = rest.split_once(&self.0) {
            let Some(before) = before.strip_suffix(RS) else {
                questions.push(Question { before, text: "" });
                rest = after;
                continue;
            };
            let line = after.split('\n').next().unwrap_or_default();
            let text = line.trim_start_matches(']');
            rest = &after[line.len()..];
            // Its end may still be on its way.
            if !rest.is_empty() || !text.ends_with(char::is_alphanumeric) && !text.trim().is_empty() {
                let text = text.trim();
                questions.push(Question { before, text });
            }
        }
        questions
    }

    /// Returns the last line where it is no line yet: a question of PAM's that sudo does not put into our words.
    fn stands<'a>(&self, errors: &'a str) -> Option<&'a str> {
        let line = errors.rsplit('\n').next().unwrap_or_default();
        let line = line.rsplit(&self.0).next().unwrap_or_default();
        let line = line.trim_start_matches(']').trim();
        (!line.is_empty()).then_some(line)
    }
}

/// A question that came by our prompt.
#[derive(Debug, PartialEq, Eq)]
struct Question<'a> {
    /// What was said before it.
    before: &'a str,
    /// PAM's words, where sudo-rs shows them; that of Todd Miller shows only the prompt, whatever PAM asks.
    text: &'a str,
}

impl Question<'_> {
    /// Returns what sudo wants by it that it will not get, if the password was given before or there is none.
    fn beyond(&self) -> Asked {
        let lower = self.text.to_ascii_lowercase();
        let same = lower.is_empty() || lower == "password:" || lower.ends_with("'s password:");
        // Whatever was said, be it an insult: the password was refused. A second question without a word is another one.
        if same && !self.before.trim().is_empty() {
            return Asked::Password;
        }
        Asked::More(self.text.to_owned())
    }

    fn is_password(&self) -> bool {
        self.text.is_empty() || self.text.to_ascii_lowercase().contains("password")
    }
}

/// Gives sudo the password when it asks, once, and ends when it asks for what it cannot get. Nothing is sent unasked, so
/// that it cannot end up anywhere else.
pub(super) async fn answer(running: &Running, prompt: &Prompt, password: Option<&Secret>) -> Asked {
    let mut state = running.state.clone();
    let mut answered = 0;
    loop {
        let (errors, ended) = {
            let state = state.borrow_and_update();
            (state.errors.clone(), state.end.is_some())
        };
        if ended {
            break;
        }
        let questions = prompt.asked(&errors);
        if let Some(question) = questions.get(answered) {
            match password {
                Some(password) if answered == 0 && question.is_password() => {
                    let line = Wiped::new(format!("{}\n", password.reveal()));
                    let _ = running.input.data(line.as_bytes()).await;
                    answered = 1;
                }
                _ if answered == 0 => return Asked::More(question.text.to_owned()),
                _ => return question.beyond(),
            }
            continue;
        }
        let standing = (questions.len() <= answered)
            .then(|| prompt.stands(&errors))
            .flatten();
        let answered_line = questions.last().is_some_and(|last| standing == Some(last.text));
        let Some(question) = standing.filter(|_| !answered_line) else {
            if state.changed().await.is_err() {
                break;
            }
            continue;
        };
        match tokio::time::timeout(QUIET, state.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => break,
            Err(_) => return Asked::More(question.to_owned()),
        }
    }
    // The command ended: its end is told by whoever reads its stdout.
    std::future::pending::<Asked>().await
}

/// Returns why sudo refused, by its words.
pub(super) fn said(text: &str) -> Option<Said> {
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    // An expired or locked account is told on the way to a password that is refused for it.
    if has(&[
        "password is expired",
        "password expired",
        "required to change your password",
        "account has expired",
        "account expired",
        "Account expired",
        "Current password:",
        "Current Password:",
    ]) {
        Some(Said::Expired)
    } else if has(&[
        "account is locked",
        "Account locked",
        "account validation failure",
        "Account validation failure",
    ]) {
        Some(Said::Locked)
    } else if has(&["must have a tty", "a terminal is required", "no tty present"]) {
        Some(Said::Terminal)
    } else if has(&[
        "incorrect password",
        "incorrect authentication attempt",
        "Authentication failed, try again",
        "Sorry, try again",
    ]) {
        Some(Said::PasswordWrong)
    } else if has(&[
        "password is required",
        "no password was provided",
        "interactive authentication is required",
        "required but not attempted",
    ]) {
        Some(Said::PasswordNeeded)
    } else {
        None
    }
}

/// Returns what is known of the end of a command that sudo was to start.
pub(super) fn account(asked: &str, state: &State) -> Option<Said> {
    said(&format!("{}\n{asked}", state.errors)).filter(|said| matches!(said, Said::Expired | Said::Locked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt::new("t0")
    }

    fn asked(errors: &str) -> Vec<String> {
        let prompt = prompt();
        let questions = prompt.asked(errors);
        questions
            .iter()
            .map(|question| question.text.to_owned())
            .collect()
    }

    #[test]
    fn the_questions_of_both_sudos_are_told_apart_from_what_else_they_say() {
        assert!(asked("We trust you have received the usual lecture\n").is_empty());
        assert_eq!(asked("lecture\n[verifier-t0]"), [""]);
        assert_eq!(asked("[verifier-t0]Sorry, try again.\n[verifier-t0]"), ["", ""]);
        assert!(asked("[sudo: [verifier-t0]").is_empty());
        assert!(asked("[sudo: [verifier-t0]] Pass").is_empty());
        assert_eq!(asked("[sudo: [verifier-t0]] Password: "), ["Password:"]);
        assert_eq!(
            asked("[sudo: [verifier-t0]] Password: \n[sudo: [verifier-t0]] Send your code. "),
            ["Password:", "Send your code."]
        );
        // Another run's prompt is nobody's.
        assert!(asked("[verifier-t1] [verifier-asks]").is_empty());
    }

    #[test]
    fn a_second_question_is_a_refused_password_only_where_something_was_said() {
        let beyond = |errors: &str| prompt().asked(errors).last().unwrap().beyond();
        assert_eq!(
            beyond("[verifier-t0]Sorry, try again.\n[verifier-t0]"),
            Asked::Password
        );
        assert_eq!(
            beyond("[verifier-t0]Your mind just hasn't been the same\n[verifier-t0]"),
            Asked::Password
        );
        assert_eq!(beyond("[verifier-t0][verifier-t0]"), Asked::More(String::new()));
        assert_eq!(beyond("[verifier-t0]\n[verifier-t0]"), Asked::More(String::new()));
        let rs = "[sudo: [verifier-t0]] Password: \nsudo: Authentication failed, try again.\n[sudo: [verifier-t0]] Password: ";
        assert_eq!(beyond(rs), Asked::Password);
        let rs = "[sudo: [verifier-t0]] Password: \n[sudo: [verifier-t0]] Current password: ";
        assert_eq!(beyond(rs), Asked::More("Current password:".to_owned()));
    }

    #[test]
    fn a_question_of_pam_that_is_not_in_our_words_stands_on_the_last_line() {
        let prompt = prompt();
        assert_eq!(prompt.stands("[verifier-t0]"), None);
        assert_eq!(prompt.stands("[verifier-t0]\nhello\n"), None);
        assert_eq!(
            prompt.stands("[verifier-t0]Verification code: "),
            Some("Verification code:")
        );
        assert_eq!(
            prompt.stands("lecture\nPasscode or option (1-2): "),
            Some("Passcode or option (1-2):")
        );
    }

    #[test]
    fn what_each_sudo_says_has_its_own_cause() {
        let cases = [
            ("sudo: a password is required", Some(Said::PasswordNeeded)),
            (
                "sudo-rs: interactive authentication is required",
                Some(Said::PasswordNeeded),
            ),
            (
                "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt",
                Some(Said::PasswordWrong),
            ),
            (
                "sudo: Authentication failed, try again.",
                Some(Said::PasswordWrong),
            ),
            (
                "sudo: maximum 3 incorrect authentication attempts",
                Some(Said::PasswordWrong),
            ),
            (
                "sudo: sorry, you must have a tty to run sudo",
                Some(Said::Terminal),
            ),
            (
                "sudo: Account or password is expired, reset your password and try again",
                Some(Said::Expired),
            ),
            (
                "You are required to change your password immediately (administrator enforced).",
                Some(Said::Expired),
            ),
            (
                "The account is locked due to 3 failed logins.\n(10 minutes left to unlock)\nSorry, try again.",
                Some(Said::Locked),
            ),
            (
                "sudo: account validation failure, is your account locked?",
                Some(Said::Locked),
            ),
            ("sudo: I'm sorry op. I'm afraid I can't do that", None),
            ("op is not in the sudoers file.", None),
            ("/dev/ttyS0: permission denied", None),
        ];
        for (text, said_of_it) in cases {
            assert_eq!(said(text), said_of_it, "{text}");
        }
    }

    #[test]
    fn a_password_that_is_refused_unasked_is_a_locked_account() {
        let refused = "Sorry, try again.\nSorry, try again.\nsudo: 3 incorrect password attempts";
        assert_eq!(prompt().verdict(refused), Some(Said::Locked));
        let asked = format!("[verifier-t0]{refused}");
        assert_eq!(prompt().verdict(&asked), Some(Said::PasswordWrong));
    }

    #[test]
    fn the_prompts_are_taken_out_of_what_is_shown() {
        assert_eq!(
            prompt().without("[sudo: [verifier-t0]] Password: \n[verifier-t0]no"),
            "Password: \nno"
        );
    }
}
