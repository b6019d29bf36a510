//! Charts of the last hour as pictures in the page (SVG): shapes alone, their words beside them, so that they are as
//! readable on a phone; each has a title and a description for those who do not see it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use maud::{Markup, html};

use super::parts::{count, none, rate, time};
use crate::admin::history::{OUTCOMES, SPAN, Sample};

/// Size of the drawing, which is stretched to its place.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;

/// A chart: layers on top of each other, the first at the bottom.
#[derive(Debug)]
struct Chart {
    id: &'static str,
    title: &'static str,
    description: String,
    /// Places in time, from 0 for the beginning to 1 for now.
    times: Vec<f64>,
    /// Time from the beginning until now: an hour, or less after a start.
    span: Duration,
    layers: Vec<ChartLayer>,
    /// Height of the drawing, in the unit of the values.
    top: f64,
}

#[derive(Debug)]
struct ChartLayer {
    class: &'static str,
    name: &'static str,
    values: Vec<f64>,
}

/// Both charts of these samples, the oldest first.
pub(super) fn row(samples: &[Sample], has_dns: bool) -> Markup {
    html! {
        div.charts {
            @if has_dns {
                figure {
                    figcaption { "Queries a second" }
                    @match queries(samples) { Some(chart) => (chart.draw(rate)), None => (none("Known after ten seconds.")) }
                }
            }
            figure {
                figcaption { "Instances" }
                @match instances(samples) {
                    Some(chart) => (chart.draw(whole)),
                    None => (none("Known after ten seconds.")),
                }
            }
        }
    }
}

fn whole(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
    count(value as u64)
}

#[expect(clippy::cast_precision_loss, reason = "a drawing is no exact number")]
fn float(number: u64) -> f64 {
    number as f64
}

/// Rates between each two samples; none of one alone.
fn queries(samples: &[Sample]) -> Option<Chart> {
    let (now, span) = (samples.last()?.at, span(samples)?);
    let classes = ["answered", "nodata", "nxdomain", "refused", "failed"];
    let mut layers: Vec<ChartLayer> =
        OUTCOMES.iter().zip(classes).map(|(name, class)| ChartLayer { class, name, values: Vec::new() }).collect();
    let mut times = Vec::new();
    for pair in samples.windows(2) {
        let [before, after] = pair else { continue };
        let seconds = after.at.saturating_duration_since(before.at).as_secs_f64();
        if seconds <= 0.0 {
            continue;
        }
        // A rate holds for the time between its two looks.
        times.extend([place(before.at, now, span), place(after.at, now, span)]);
        for ((layer, before), after) in layers.iter_mut().zip(before.queries).zip(after.queries) {
            layer.values.extend([float(after.saturating_sub(before)) / seconds; 2]);
        }
    }
    let sums = sums(&layers, times.len());
    let (last, most) = (*sums.last()?, most(&sums));
    let parts = layers.iter().map(|layer| {
        let value = layer.values.last().copied().unwrap_or_default();
        format!("{} {}", layer.name, rate(value))
    });
    let description = format!(
        "{} queries a second now ({}), {} at most in the last hour.",
        rate(last),
        parts.collect::<Vec<_>>().join(", "),
        rate(most)
    );
    let top = round_up(most);
    Some(Chart {
        id: "queries",
        title: "Queries a second by outcome, over the last hour",
        description,
        times,
        span,
        layers,
        top,
    })
}

fn instances(samples: &[Sample]) -> Option<Chart> {
    let (now, span) = (samples.last()?, span(samples)?);
    let values = |of: fn(&Sample) -> u64| samples.iter().map(|sample| float(of(sample))).collect::<Vec<_>>();
    let layers = vec![
        ChartLayer { class: "answered", name: "in DNS", values: values(|sample| sample.serving) },
        ChartLayer { class: "failed", name: "out", values: values(|sample| sample.out) },
    ];
    let first = samples.first()?;
    let description = format!(
        "{} instances in DNS and {} out now; {} and {} at the beginning of the chart.",
        count(now.serving),
        count(now.out),
        count(first.serving),
        count(first.out)
    );
    let times = samples.iter().map(|sample| place(sample.at, now.at, span)).collect();
    let top = round_up(most(&sums(&layers, samples.len())));
    Some(Chart {
        id: "instance-chart",
        title: "Instances in DNS and out, over the last hour",
        description,
        times,
        span,
        layers,
        top,
    })
}

/// Time that the samples are of; none of one alone.
fn span(samples: &[Sample]) -> Option<Duration> {
    let (first, last) = samples.first().zip(samples.last())?;
    let span = last.at.saturating_duration_since(first.at);
    (!span.is_zero()).then_some(span.min(SPAN))
}

fn place(at: Instant, now: Instant, span: Duration) -> f64 {
    (1.0 - now.saturating_duration_since(at).as_secs_f64() / span.as_secs_f64()).max(0.0)
}

fn sums(layers: &[ChartLayer], count: usize) -> Vec<f64> {
    (0..count).map(|i| layers.iter().filter_map(|layer| layer.values.get(i)).sum()).collect()
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// The next number of the form 1, 2 or 5 with zeros.
fn round_up(value: f64) -> f64 {
    let magnitude = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|step| step * magnitude).find(|top| *top >= value).unwrap_or(value)
}

impl Chart {
    fn draw(&self, written: fn(f64) -> String) -> Markup {
        let Self { id, title, description, layers, top, span, .. } = self;
        html! {
            div.plot {
                span.scale aria-hidden="true" { (written(*top)) }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                    aria-labelledby={ (id) "-title " (id) "-desc" } {
                    title id={ (id) "-title" } { (title) }
                    desc id={ (id) "-desc" } { (description) }
                    @for part in [0.0, 0.5, 1.0] {
                        line.grid x1="0" x2=(WIDTH) y1=(HEIGHT * part) y2=(HEIGHT * part) {}
                    }
                    @for (layer, points) in layers.iter().zip(self.shapes()) {
                        polygon class={ "fill-" (layer.class) } points=(points) {}
                    }
                }
            }
            div.axis aria-hidden="true" { span { (time(*span)) " ago" } span { "now" } }
            ul.legend {
                @for layer in layers {
                    li {
                        span class={ "swatch fill-" (layer.class) } aria-hidden="true" {}
                        (layer.name) " " b { (written(layer.values.last().copied().unwrap_or_default())) }
                    }
                }
            }
        }
    }

    /// The outline of each layer, which stands on those before it.
    fn shapes(&self) -> Vec<String> {
        let mut below = vec![0.0; self.times.len()];
        let mut shapes = Vec::new();
        for layer in &self.layers {
            let above: Vec<f64> = below.iter().zip(&layer.values).map(|(below, value)| below + value).collect();
            let mut points = String::new();
            let there = self.times.iter().zip(&above);
            let back = self.times.iter().zip(&below).rev();
            for (time, value) in there.chain(back) {
                // A string can be written to always.
                let _ = write!(points, "{:.1},{:.1} ", time * WIDTH, HEIGHT - value / self.top * HEIGHT);
            }
            shapes.push(points.trim_end().to_owned());
            below = above;
        }
        shapes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        let begun = Instant::now();
        let sample = |seconds, answered, failed, serving| Sample {
            at: begun + Duration::from_secs(seconds),
            queries: [answered, 0, 0, 0, failed],
            serving,
            out: 1,
        };
        vec![sample(0, 100, 0, 3), sample(1_800, 100, 0, 4), sample(3_600, 900_100, 90_000, 5)]
    }

    #[test]
    fn rates_are_those_between_two_looks() {
        let chart = queries(&samples()).unwrap();
        assert_eq!(chart.layers[0].values, [0.0, 0.0, 500.0, 500.0]);
        assert_eq!(chart.layers[4].values, [0.0, 0.0, 50.0, 50.0]);
        assert!((chart.top - 1_000.0).abs() < 1e-6);
        assert_eq!(
            chart.description,
            "550 queries a second now (answered 500, NODATA 0, NXDOMAIN 0, REFUSED 0, failed 50), 550 at most in the last hour."
        );
        let failed = "0.0,120.0 360.0,120.0 360.0,54.0 720.0,54.0 720.0,60.0 360.0,60.0 360.0,120.0 0.0,120.0";
        assert_eq!(chart.shapes()[4], failed, "it stands on the others");
        assert!(queries(&samples()[..1]).is_none() && instances(&samples()[..1]).is_none());
    }

    #[test]
    fn instances_are_drawn_as_they_were() {
        let chart = instances(&samples()).unwrap();
        assert_eq!(chart.times, [0.0, 0.5, 1.0]);
        assert_eq!(chart.layers[0].values, [3.0, 4.0, 5.0]);
        let drawn = row(&samples(), true).into_string();
        assert!(
            drawn.contains("<desc id=\"instance-chart-desc\">5 instances in DNS and 1 out now; 3 and 1 at"),
            "{drawn}"
        );
        assert!(!row(&samples(), false).into_string().contains("Queries"));
    }

    #[test]
    fn a_scale_ends_in_a_round_number() {
        for (value, top) in
            [(0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (1.2, 2.0), (3.0, 5.0), (7.0, 10.0), (2_600.0, 5_000.0)]
        {
            assert!((round_up(value) - top).abs() < 1e-6, "{value}");
        }
    }
}
