//! Nasty texts, sent through every sentence in every language: what is shown stays visible, and what may be pasted harmless.

use std::process::Command;

use cli::nasty;

use super::{Cause, CauseId, Evidence, Finding, Lang, Line, Phrase, PhraseId, catalogue, phrase};
use crate::distribution::Distribution;

const LANGS: [Lang; 2] = [Lang::En, Lang::Ko];
const LAYOUTS: [Distribution; 7] = [
    Distribution::HardWay,
    Distribution::Kubeadm,
    Distribution::K3sServer,
    Distribution::K3sAgent,
    Distribution::Rke2Server,
    Distribution::Rke2Agent,
    Distribution::Microk8s,
];
/// Names that would print PWNED, were they more than names to a shell.
const COMMANDS: [&str; 7] = [
    "x;echo PW\"\"NED",
    "$(echo PW\"\"NED >&2)",
    "`echo PW\"\"NED >&2`",
    "x' ; echo PW\"\"NED; '",
    "x|echo PW\"\"NED",
    "x&&echo PW\"\"NED",
    "x >/dev/stderr;echo PW\"\"NED #",
];

#[test]
fn no_sentence_has_a_name_in_a_command_that_nothing_quotes() {
    let mut faults = Vec::new();
    for lang in LANGS {
        for (key, sentence, commands, names) in catalogue::sentences(lang) {
            // A place such as {journal.component} is a command itself, with a name in it.
            let is_name = |name: &str| names.contains(&name.rsplit('.').next().unwrap_or_default());
            for name in cli::unquoted(sentence, commands, is_name) {
                faults.push(format!("{lang:?} {key}: {{{name}}} in {sentence}"));
            }
            if sentence.replace('\n', "").contains(bundle::is_unseen) {
                faults.push(format!("{lang:?} {key} has what no eye sees"));
            }
            if sentence.matches('`').count() % 2 != 0 {
                faults.push(format!("{lang:?} {key}: a backtick is left open"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_sentence_of_ours_looks_like_a_secret() {
    for lang in LANGS {
        for (key, sentence, _, _) in catalogue::sentences(lang) {
            assert_eq!(secrets::mask::text(sentence), sentence, "{lang:?} {key}");
        }
    }
}

#[test]
fn every_cause_shows_every_nasty_text_on_one_visible_line() {
    for text in nasty::texts() {
        for id in CauseId::ALL {
            let cause = Cause::holding(*id, &text);
            for lang in LANGS {
                let said = catalogue::text(&cause, lang, Distribution::default());
                assert_eq!(nasty::fault(&said), None, "{id}: {said}");
                let hint = catalogue::hint(&cause, lang, Distribution::Kubeadm);
                assert_eq!(nasty::fault(&hint), None, "{id}: {hint}");
            }
        }
    }
}

#[test]
fn every_phrase_shows_every_nasty_text_visibly() {
    for text in nasty::texts() {
        for id in PhraseId::ALL {
            for lang in LANGS {
                let sentence = catalogue::say(Phrase::holding(*id, ""), lang);
                let said = catalogue::say(Phrase::holding(*id, &text), lang);
                assert_eq!(nasty::fault_of_output(&said), None, "{id}: {said}");
                assert_eq!(
                    said.split('\n').count(),
                    sentence.split('\n').count(),
                    "{id}: {said}"
                );
            }
        }
        let evidence = Evidence::lines(phrase::Routes, [Line::from(&text), Line::from(&*text)]).unwrap();
        let (title, shown) = catalogue::show(&evidence, Lang::En);
        assert_eq!(nasty::fault_of_output(&format!("{title}\n{shown}")), None);
        assert_eq!(shown.split('\n').count(), 2, "{shown}");
        let finding = Finding::fail(Cause::holding(CauseId::Needs, &text)).of(&text);
        assert_eq!(nasty::fault(&finding.subject.unwrap()), None);
    }
}

#[test]
fn what_was_stored_and_altered_is_made_fit_again() {
    let cause = Cause::holding(CauseId::Needs, "SAFE");
    let altered = serde_json::to_string(&cause)
        .unwrap()
        .replace("SAFE", "\\u001b[2J\\u202e");
    let read: Cause = serde_json::from_str(&altered).unwrap();
    assert_eq!(
        nasty::fault(&catalogue::text(&read, Lang::En, Distribution::default())),
        None
    );
}

#[test]
fn no_hint_holds_a_name_outside_of_quotes() {
    for name in COMMANDS
        .into_iter()
        .chain(["x;curl evil|sh", ";reboot", "zz yy", "--all", "-rf", "a\nb"])
    {
        let word = cli::quoted(name).unwrap_or_default();
        for id in CauseId::ALL {
            for lang in LANGS {
                for layout in LAYOUTS {
                    let hint = catalogue::hint(&Cause::holding(*id, name), lang, layout);
                    let rest = if word.is_empty() {
                        hint.clone()
                    } else {
                        hint.replace(&word, "")
                    };
                    // Our own hints name options, but none of these.
                    let told = ["PW", "evil", "reboot", "zz yy", " --all", "-rf"]
                        .iter()
                        .find(|part| rest.contains(*part));
                    assert_eq!(told, None, "{id}: {hint}");
                }
            }
        }
    }
}

#[test]
fn a_shell_that_is_given_the_commands_by_hand_runs_nothing_else() {
    // Whatever is to be run prints its name and does nothing.
    let stub =
        "PATH=/nonexistent; command_not_found_handle() { builtin printf '<%s>' \"$1\"; }; cat() { :; }\n";
    for (id, host) in catalogue::checks(Lang::En).flat_map(|id| COMMANDS.map(|host| (id, host))) {
        for layout in LAYOUTS {
            let by_hand = catalogue::by_hand(id, Lang::En, host, layout);
            // What stands in parentheses is said to the reader.
            let by_hand = by_hand.replace(" (or brctl show)", "");
            let ran = Command::new("bash")
                .args(["-c", &format!("{stub}{by_hand}")])
                .output()
                .unwrap();
            let told = format!(
                "{}{}",
                String::from_utf8_lossy(&ran.stdout),
                String::from_utf8_lossy(&ran.stderr)
            );
            assert!(
                !told.contains("PWNED") && !told.contains("syntax error"),
                "{id}: {by_hand}\n{told}"
            );
            assert!(told.contains('<'), "{id}: nothing was run: {by_hand}\n{told}");
        }
    }
}
