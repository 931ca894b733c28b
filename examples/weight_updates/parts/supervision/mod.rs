//! Learning with labels and without: a classifier, an autoencoder and a generative adversarial network.

mod measures;
mod networks;

use gradus::Tensor;
use gradus::train::Sweep;
use gradus::train::plot::{Images, Plot};

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::{Digits, Study};
use crate::training::at;
use measures::principal_components;
use networks::{BATCH, CODE, HIDDEN, JUDGED, NETWORKS, NOISE, RATE, ROW, run};

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let steps = study.pick(6000, 150);
    let Digits { train, test, .. } = &study.digits;
    let found = Sweep::new(["all"]).seeds(study.seeds()).run(|_, seed| run(&study.digits, steps, seed))?;
    let row = &found.rows()[0];
    let of =
        |what: &str, network: &str, step: u64| row.of(|history| at(history, step, &format!("{what} of {network}")));

    let mut updates = Table::new(["network", "update at 100", "at the end", "update/weight", "gradient", "at the end"]);
    let mut losses = Table::new(["network", "loss at 100", "at the end"]);
    let mut plot = Plot::new("Updates of four networks").axes("step", "weight update").log_y();
    for network in NETWORKS {
        updates.push([
            network.to_owned(),
            of("update", network, 100).to_string(),
            of("update", network, steps).to_string(),
            format!("{:.1}%", 100.0 * of("update", network, 100).mean / of("size", network, 100).mean),
            format!("{:.1e}", of("gradient", network, 100).mean),
            format!("{:.1e}", of("gradient", network, steps).mean),
        ]);
        losses.push([
            network.to_owned(),
            format!("{:.4}", of("loss", network, 100)),
            format!("{:.4}", of("loss", network, steps)),
        ]);
        plot = plot.runs(network, &row.curves("step", &format!("update of {network}")));
    }
    let verdict = |what: &str, name: &str| row.last(&format!("{what} of {name}"));
    let percent = |what: &str, name: &str| 100.0 * verdict(what, name).mean;
    let mut images = Table::new(["images", "near", "sure", "digits"]);
    for name in JUDGED {
        images.push([
            name.to_owned(),
            format!("{:.0}%", row.of(|history| 100.0 * history.last(&format!("near of {name}")))),
            format!("{:.0}%", row.of(|history| 100.0 * history.last(&format!("sure of {name}")))),
            format!("{:.1}", verdict("classes", name)),
        ]);
    }
    let [mean_image, components] = [0, CODE].map(|count| principal_components(train, test, count));
    let error = row.last("error");
    let mut codes = Table::new(["description of a test digit", "squared error"]);
    codes.push(["the mean image", &format!("{mean_image:.4}")]);
    codes.push([format!("{CODE} principal components"), format!("{components:.4}")]);
    codes.push([format!("an autoencoder with a code of {CODE}"), format!("{error:.4}")]);
    let pixels: Vec<f64> = row.runs()[0].1.column("pixel").iter().copied().filter(|pixel| !pixel.is_nan()).collect();
    let picture = Images::new(&Tensor::new([pixels.len() / 64, 8, 8], pixels), ROW);

    let firsts = NETWORKS.map(|network| of("update", network, 100).mean);
    let widest = firsts.iter().copied().fold(0.0, f64::max) / firsts.iter().copied().fold(f64::INFINITY, f64::min);
    let later = |what: &str| NETWORKS.map(|network| of(what, network, steps).mean / of(what, network, 100).mean);
    let (moves, slopes) = (later("update"), later("gradient"));
    let listed = |shares: [f64; 4]| shares.map(|share| format!("{:.0}%", 100.0 * share)).join(", ");
    let [_, early, made, noise] = JUDGED;
    let forged = [100, steps].map(|step| of("loss", "generator", step).mean);
    let part = Part::new(
        "Supervised and unsupervised",
        "Learning with labels settles: loss and updates fall. So do those of an autoencoder, whose target is its own \
         input. The two networks of a GAN play against each other, so that neither their losses nor their updates need \
         to fall.",
        "Adam makes a step of a weight about as long as the rate where its gradients agree, and shorter where they \
         change their sign from batch to batch; how large they are is divided out. So the updates of all four are of \
         about one size, and follow the gradients down late or not at all. In a GAN the loss of each network is \
         measured against an opponent that learns too: it says who is ahead, not how good the images are. Where the \
         discriminator can only guess, its loss is 2·ln 2, and that of the generator ln 2.",
    )
    .setup(format!(
        "Digits. Classifier 64-{HIDDEN}-10; autoencoder 64-{HIDDEN}-{CODE}-{HIDDEN}-64 with the squared error; a GAN \
         of a generator {NOISE}-{HIDDEN}-{HIDDEN}-64 and a discriminator 64-{HIDDEN}-{HIDDEN}-1 that pays half its \
         squared slope at the data. ReLU, in the discriminator leaky; batches of {BATCH}, {steps} steps, {} seeds. All \
         four by Adam at a rate of {RATE}, β₁ = 0.5 and β₂ = 0.99, with nothing chosen. The classifier is right for \
         {:.1}% of the test digits.",
        study.seeds().end,
        row.of(|history| 100.0 * history.last("accuracy"))
    ))
    .table(
        "The mean update of iteration 100 and of the last one; the first as a share of the mean weight; and the root \
         mean square of the gradients of both",
        updates,
    )
    .picture(
        "supervision",
        "The mean update of each network in one step; bands are one standard deviation over seeds.",
        &plot,
    )?
    .table(
        "Losses, of the validation images, those of the GAN of a batch: cross-entropy, squared error a pixel, and nats",
        losses,
    )
    .table("The squared error a pixel, of test digits with pixels from 0 to 1", codes)
    .table(
        "Images by three measures: \"near\" is the share that is as near to a training image as 95% of the test \
         digits are; \"sure\", of which the classifier of the same seed is more than 90% sure; \"digits\", how many of \
         the ten it sees, as the exponential of the entropy",
        images,
    )
    .picture(
        "supervision-digits",
        "From the top: test digits; the same after the autoencoder; made by the generator after 100 steps, and at the \
         end.",
        &picture,
    )?
    .finding(
        "one optimizer at one rate makes updates of one size, whatever the task",
        widest < 2.0,
        format!("At iteration 100 the largest update of the four networks is {widest:.1} times the smallest."),
    )
    .finding(
        "updates of a classifier and an autoencoder shrink as they learn, those of a GAN do not",
        moves[0].max(moves[1]) < 0.5 && moves[2].min(moves[3]) > 0.5,
        format!(
            "Of the updates of iteration 100 there are left {} at the end, in the order of the table; of the \
             gradients {}.",
            listed(moves),
            listed(slopes)
        ),
    )
    .finding(
        "a generator whose images get better has a falling loss",
        forged[1] < forged[0]
            && ["near", "classes"].iter().all(|what| verdict(what, made).mean > verdict(what, early).mean),
        format!(
            "From iteration 100 to the end the loss of the generator goes from {:.2} to {:.2}. Of its images {:.0}% \
             are near to real ones, and then {:.0}%; they are as diverse as {:.1} equally frequent digits, and then \
             {:.1}.",
            forged[0],
            forged[1],
            percent("near", early),
            percent("near", made),
            verdict("classes", early),
            verdict("classes", made)
        ),
    )
    .finding(
        "an autoencoder describes digits better than as many principal components",
        error.mean < components,
        format!("A squared error of {error:.4} a pixel, and of {components:.4} by components."),
    )
    .finding(
        "a classifier that is sure of an image shows that it is a digit",
        percent("sure", noise) < 5.0,
        format!(
            "It is sure of {:.0}% of the test digits, and of {:.0}% of images of random pixels, of which {:.0}% are \
             near to a training image.",
            percent("sure", JUDGED[0]),
            percent("sure", noise),
            percent("near", noise)
        ),
    );
    Ok(part)
}
