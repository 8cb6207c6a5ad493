//! The spawner as the tests start it.

fn main() {
    dormouse_jail::spawner::main()
}
