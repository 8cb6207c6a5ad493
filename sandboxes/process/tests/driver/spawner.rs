//! The spawner process for the tests of this crate.

fn main() {
    dormouse_jail::spawner::main()
}
