// The program of docs/guide.md that trains, for the block that needs what it saves.

pub mod train {
    use super::guide::penguins;

    include!("train.rs");

    pub fn run() -> Result<(), Box<dyn std::error::Error>> {
        main()
    }
}
