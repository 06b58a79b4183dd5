//! What filters mean, and what is said of texts that are none.

use super::*;

fn wants(filter: &str, notice: &Notice) -> bool {
    filter.parse::<Filter>().unwrap().matches(notice)
}

#[test]
fn constraints_test_what_they_say() {
    let event = down("web", "b1", "10.1.2.3");
    for (filter, expected) in [
        ("", true),
        ("service=web", true),
        ("service=we", false),
        ("service^=we", true),
        ("service^=eb", false),
        ("service = \"web\"", true),
        ("topic=backend kind=backend-state", true),
        ("topic=health", false),
        ("address=10.1.2.3", true),
        ("address in 10.0.0.0/8", true),
        ("address in 10.1.2.3/32", true),
        ("address in 11.0.0.0/8", false),
        ("address in ::/0", false),
        ("to=down and from=active", true),
        ("to=down from=draining", false),
        ("to=up or to=down", true),
        ("to=up or to=down service=dns", false),
        ("(to=up or to=down) service=web", true),
        ("service=dns and (to=up or to=down)", false),
        // An event without the attribute.
        ("count in 0..", false),
    ] {
        assert_eq!(wants(filter, &event), expected, "{filter}");
    }
    for (filter, expected) in [
        ("count=3", true),
        ("count in 3..3", true),
        ("count in 4..", false),
        ("count in ..2", false),
        ("count in 1..", true),
    ] {
        assert_eq!(wants(filter, &repaired(3)), expected, "{filter}");
    }
}

#[test]
fn a_text_that_is_no_filter_is_refused_with_the_place_and_what_was_expected() {
    for (text, column, problem) in [
        ("servce=web", 1, "\"servce\" is not known; expected one of topic, kind, service"),
        ("service", 8, "after service, expected `=`"),
        ("service=", 9, "expected a value"),
        ("service=web and", 16, "expected an attribute"),
        ("service=web or", 15, "expected an attribute"),
        ("(service=web", 1, "`(` is not closed"),
        ("service=web)", 12, "`)` closes nothing"),
        ("topic=helth", 7, "the topic \"helth\" is not known; expected one of service, backend"),
        ("kind=down", 6, "the kind \"down\" is not known"),
        ("count=many", 7, "\"many\" is not a number"),
        ("count in 5..2", 10, "\"5..2\" is not a range"),
        ("count in ..", 10, "is not a range"),
        ("count^=3", 6, "count is a number; `^=` is for texts"),
        ("address=web", 9, "\"web\" is not an address"),
        ("address in 10.0.0.0/33", 12, "is not a network such as 10.0.0.0/8"),
        ("service in 1..2", 12, "service is a text"),
        ("to=\"down", 4, "not closed"),
        ("to^down", 3, "`^` stands alone"),
        ("web", 1, "the attribute \"web\" is not known"),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.problem.contains(problem), "{text}: {error}");
    }
}

#[test]
fn a_filter_that_would_grow_without_bound_is_refused() {
    let two = "(to=up or to=down)";
    assert!([two; 6].join(" and ").parse::<Filter>().is_ok());
    let error = [two; 7].join(" and ").parse::<Filter>().unwrap_err();
    assert!(error.problem.contains("128 ways; expected at most 64"), "{error}");
    let many = vec!["to=up"; 65].join(" or ");
    assert!(many.parse::<Filter>().is_err());
    let deep = "(".repeat(17) + "to=up" + &")".repeat(17);
    assert!(deep.parse::<Filter>().unwrap_err().problem.contains("more than 16 brackets"));
    let long = format!("reason=\"{}\"", "x".repeat(5000));
    assert!(long.parse::<Filter>().unwrap_err().problem.contains("expected at most 4096"));
}
