//! Tests of whole pictures.

use super::*;

#[test]
fn a_picture_names_its_curves_and_holds_their_numbers() {
    let plot = Plot::new("loss & \"more\"").axes("step", "nats < 1").line("train", &[(0.0, 1.0), (1.0, 0.5)]);
    let picture = plot.to_svg().unwrap();
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    for part in [
        "<title>loss &amp; &quot;more&quot;</title>",
        ">train</text>",
        ">nats &lt; 1</text>",
        "line train: x,y\n0,1\n1,0.5\n",
    ] {
        assert!(picture.contains(part), "{part} in {picture}");
    }
}

#[test]
fn nothing_to_draw_is_an_error_that_names_the_plot() {
    let nan = Plot::new("loss").line("train", &[(0.0, f64::NAN), (f64::INFINITY, 1.0)]);
    let message = "the plot `loss` has nothing to draw: no number of the horizontal axis is finite";
    assert_eq!(nan.to_svg().unwrap_err().to_string(), message);
    assert!(Plot::new("empty").to_svg().is_err());
    let negative = Plot::new("loss").line("train", &[(0.0, -1.0), (1.0, 0.0)]);
    assert!(negative.to_svg().is_ok());
    let message = "the plot `loss` has nothing to draw: no number of the vertical axis is finite and above 0";
    assert_eq!(negative.log_y().to_svg().unwrap_err().to_string(), message);
}

#[test]
fn a_failed_picture_leaves_the_file() {
    let path = std::env::temp_dir().join(format!("gradus-plot-{}.svg", std::process::id()));
    Plot::new("first").line("a", &[(0.0, 1.0)]).save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(Plot::new("second").line("a", &[(0.0, f64::NAN)]).save(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn each_point_is_a_dot_and_a_line_has_gaps() {
    let cloud = [(0.0, 1.0), (1.0, 0.5), (0.25, 0.25), (f64::NAN, 1.0)];
    let picture = Plot::new("ring").points("data", &cloud).to_svg().unwrap();
    // One more stands beside the name.
    assert_eq!(picture.matches("<circle").count(), 4);
    let broken = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, f64::INFINITY), (5.0, 1.0), (6.0, 2.0)];
    let picture = Plot::new("").line("", &broken).to_svg().unwrap();
    let path = picture.split("d=\"").find(|part| part.contains("stroke-width=\"1.8\"")).unwrap();
    assert_eq!((path.matches('M').count(), path.matches("h0").count()), (3, 1), "{path}");
}

#[test]
fn years_are_written_without_decimals() {
    let points: Vec<(f64, f64)> = (1920..2009).map(|year| (f64::from(year), f64::from(year % 11))).collect();
    let picture = Plot::new("sunspots").axes("year", "").line("observed", &points).to_svg().unwrap();
    assert!(picture.contains(">1920</text>") && picture.contains(">2000</text>") && !picture.contains("1920.0"));
}

#[test]
fn a_long_line_is_drawn_with_what_can_be_seen() {
    let spike = |k: usize| if k == 123_456 { 5.0 } else { (k as f64 * 0.001).sin() };
    let points: Vec<(f64, f64)> = (0..300_000).map(|k| (k as f64, spike(k))).collect();
    let picture = Plot::new("").line("", &points).to_svg().unwrap();
    let (head, drawn) = picture.split_once("</desc>").unwrap();
    assert_eq!(head.matches('\n').count(), 300_000 + 5);
    assert!(drawn.len() < 100_000, "{} bytes", drawn.len());
    // The highest point is there, at the top of the area less its margin.
    let [top, bottom] = [16.0, 336.0];
    let high = bottom - (bottom - top) * (5.0 + 1.0 + 0.3) / (6.0 * 1.1);
    assert!(drawn.contains(&format!(" {}L", svg::Tenths(high))), "{high}");
}

#[test]
fn equal_names_have_one_colour_and_one_label() {
    let line = [(0.0, 1.0), (1.0, 2.0)];
    let band = [(0.0, 0.5, 1.5), (1.0, 1.5, 2.5)];
    let picture =
        Plot::new("").band("a", &band).line("a", &line).line("b", &[(0.0, 0.0), (0.5, 1.0)]).to_svg().unwrap();
    assert_eq!((picture.matches(">a</text>").count(), picture.matches(">b</text>").count()), (1, 1));
    assert_eq!(picture.matches(svg::colour(0)).count(), 3);
    assert_eq!(picture.matches(svg::colour(1)).count(), 2);
}

#[test]
fn bars_of_two_names_stand_side_by_side() {
    let plot = Plot::new("").bars("ours", &[("a", 1.0), ("b", 2.0)]).bars("theirs", &[("b", 3.0), ("c", f64::NAN)]);
    let picture = plot.to_svg().unwrap();
    assert_eq!(picture.matches("<rect x=").count(), 3 + 2);
    for category in ["a", "b", "c"] {
        assert_eq!(picture.matches(&format!(">{category}</text>")).count(), 1);
    }
}

#[test]
fn a_histogram_begins_at_zero() {
    let counted = Histogram::of(&[1.0, 1.5, 2.0, 2.0], 2);
    let picture = Plot::new("").axes("loss", "rows").histogram("", &counted).to_svg().unwrap();
    assert!(
        picture.contains(">0</text>") && picture.contains("histogram : from,to,count\n1,1.5,1\n1.5,2,3\n"),
        "{picture}"
    );
    assert!(Plot::new("").histogram("", &counted).log_y().to_svg().is_ok());
}
