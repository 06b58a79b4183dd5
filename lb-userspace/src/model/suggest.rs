//! What a mistyped word was probably meant to be.

/// The known word that is nearest to `word`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    known
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate)), *candidate))
        .filter(|(distance, candidate)| {
            let shorter = candidate.len().min(word.len());
            // Of two letters one may be wrong, but `a` was not meant by `c`.
            *distance <= 1 + shorter / 4 && *distance < shorter
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_one_letter_is_no_slip_of_another() {
        assert_eq!(nearest("c", &["a", "b"]), None);
        assert_eq!(nearest("b1", &["a1", "b2"]), Some("a1"));
    }

    #[test]
    fn a_slip_finds_the_word_and_another_word_does_not() {
        let known = ["address", "port", "weight", "snat_addresses", "name"];
        for (word, expected) in [
            ("adress", Some("address")),
            ("wieght", Some("weight")),
            ("snat-addresses", Some("snat_addresses")),
            ("Port", Some("port")),
            ("prot", Some("port")),
            ("colour", None),
            ("prt", Some("port")),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
