//! The page in Prometheus' own text format 0.0.4, made of the one in `OpenMetrics`: for scrapers that know no other,
//! and for `promtool check metrics`.

use std::fmt::Write as _;

/// Content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Rewrites a page: the families of counters and infos have the names of their samples here, infos are gauges, units
/// are not said, and there is no mark at the end.
pub(super) fn of(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len() + open_metrics.len() / 16);
    // The help comes before the type, which decides about the name of both.
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(line) = line.strip_prefix("# HELP ") {
            help = line;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            let text = help.strip_prefix(name).map(str::trim_start).unwrap_or_default();
            // Quotes are escaped in OpenMetrics alone.
            let text = text.replace("\\\"", "\"");
            let _ = writeln!(page, "# HELP {name}{suffix} {text}\n# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            page.push_str(line);
            page.push('\n');
        }
    }
    page
}

/// Returns whether a client wants `OpenMetrics`: it names it in Accept, and not with q=0 (RFC 9110 §12.4.2).
pub(super) fn wants_open_metrics<'h>(accept: impl Iterator<Item = &'h str>) -> bool {
    accept.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
        let is_refused = |part: &str| {
            let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            quality.and_then(|quality| quality.trim().parse::<f32>().ok()).is_some_and(|quality| quality <= 0.0)
        };
        is_it && !parts.any(is_refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_the_names_of_their_samples() {
        let page = "# HELP a_b The \\\"b\\\".\n# TYPE a_b counter\na_b_total{x=\"y\"} 1\n\
                    # HELP a_size_bytes Size.\n# TYPE a_size_bytes gauge\n# UNIT a_size_bytes bytes\na_size_bytes 2\n\
                    # HELP a_build The program.\n# TYPE a_build info\na_build_info{v=\"1\"} 1\n\
                    # HELP a_t_seconds Time.\n# TYPE a_t_seconds histogram\na_t_seconds_sum 0.5\n# EOF\n";
        let expected = "# HELP a_b_total The \"b\".\n# TYPE a_b_total counter\na_b_total{x=\"y\"} 1\n\
                        # HELP a_size_bytes Size.\n# TYPE a_size_bytes gauge\na_size_bytes 2\n\
                        # HELP a_build_info The program.\n# TYPE a_build_info gauge\na_build_info{v=\"1\"} 1\n\
                        # HELP a_t_seconds Time.\n# TYPE a_t_seconds histogram\na_t_seconds_sum 0.5\n";
        assert_eq!(of(page), expected);
    }

    #[test]
    fn open_metrics_are_for_those_who_ask_for_them() {
        for (accept, expected) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/plain;version=0.0.4"], false),
            (&["application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5"], true),
            (&["text/html", "application/OpenMetrics-Text"], true),
            (&["application/openmetrics-text;q=0, text/plain"], false),
        ] {
            assert_eq!(wants_open_metrics(accept.iter().copied()), expected, "{accept:?}");
        }
    }
}
