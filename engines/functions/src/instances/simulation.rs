//! A seeded simulation of one pool's decisions: arrivals, starts that succeed, fail or find no memory, calls that end
//! well or spend their instance, freezing, expiry, eviction, retirement; in any order.

use std::collections::BTreeSet;
use std::time::Duration;

use dormouse_testkit::{Rng, seed};
use tokio::time::Instant;

use super::scaling::{Due, Release, Scaling, ScalingLimits};

#[derive(Default)]
struct World {
    now: Option<Instant>,
    next_instance: u32,
    next_call: u32,
    starting: usize,
    busy: BTreeSet<u32>,
    settling: Vec<(u32, Instant)>,
    stopped: BTreeSet<u32>,
    answered: BTreeSet<u32>,
}

type Pool = Scaling<u32, u32>;

impl World {
    fn now(&self) -> Instant {
        self.now.expect("set at the beginning")
    }

    fn stop(&mut self, instance: u32) {
        assert!(self.stopped.insert(instance), "instance {instance} is stopped twice");
    }

    fn answer(&mut self, call: u32) {
        assert!(self.answered.insert(call), "call {call} is answered twice");
    }

    fn apply(&mut self, instance: u32, release: Release<u32, u32>) {
        match release {
            Release::Keep => {}
            Release::Stop(instance) => self.stop(instance),
            Release::Hand(call, same) => {
                assert_eq!(instance, same);
                assert!(self.busy.insert(instance), "instance {instance} serves two calls");
                self.answer(call);
            }
        }
    }

    fn begin_starts(&mut self, pool: &mut Pool) {
        let wanted = pool.wanted();
        self.starting += wanted;
        if wanted > 0 {
            assert!(self.starting + self.settling.len() <= pool.waiting(), "a start more than needed");
        }
    }

    fn arrive(&mut self, pool: &mut Pool) {
        let call = self.next_call;
        self.next_call += 1;
        match pool.take() {
            Some(instance) => {
                assert!(self.busy.insert(instance), "instance {instance} serves two calls");
                self.answer(call);
            }
            None => pool.wait(call),
        }
    }

    fn end_start(&mut self, pool: &mut Pool, rng: &mut Rng) {
        if self.starting == 0 {
            return;
        }
        self.starting -= 1;
        match rng.below(8) {
            0 => pool.start_failed().into_iter().for_each(|call| self.answer(call)),
            1 => pool.start_blocked().into_iter().for_each(|call| self.answer(call)),
            2 => pool.start_refused().into_iter().for_each(|call| self.answer(call)),
            _ => {
                let instance = self.next_instance;
                self.next_instance += 1;
                let release = pool.started(instance, self.now());
                self.apply(instance, release);
            }
        }
    }

    fn end_call(&mut self, pool: &mut Pool, rng: &mut Rng) {
        let busy: Vec<u32> = self.busy.iter().copied().collect();
        if busy.is_empty() {
            return;
        }
        let instance = busy[rng.index(busy.len())];
        self.busy.remove(&instance);
        if rng.one_in(4) {
            if rng.one_in(2) {
                pool.crashed();
            }
            pool.gone();
            self.stop(instance);
        } else {
            pool.served();
            let release = pool.release(instance, self.now());
            self.apply(instance, release);
        }
    }

    fn pass_time(&mut self, pool: &mut Pool, rng: &mut Rng) {
        self.now = Some(self.now() + Duration::from_millis(rng.below(200)));
        for due in pool.due(self.now()) {
            match due {
                Due::Stop(instance) => self.stop(instance),
                Due::Freeze(instance, since) => self.settling.push((instance, since)),
            }
        }
    }

    fn settle(&mut self, pool: &mut Pool, rng: &mut Rng) {
        if let Some((instance, since)) = self.settling.pop() {
            if rng.one_in(10) {
                pool.settled_gone();
                self.stop(instance);
            } else {
                let release = pool.settled(instance, since);
                self.apply(instance, release);
            }
        }
    }

    fn check(&self, pool: &Pool) {
        let (idle, busy, starting) = pool.counts();
        assert_eq!((busy, starting), (self.busy.len(), self.starting), "the pool's count of what is away is wrong");
        let live = idle + busy;
        assert_eq!(live + self.stopped.len(), self.next_instance as usize, "an instance is lost");
        let idle_now = idle - self.settling.len();
        assert!(pool.waiting() == 0 || idle_now == 0, "a call waits beside an idle instance");
        assert_eq!(self.answered.len() + pool.waiting(), self.next_call as usize, "a call is lost");
    }
}

fn run(seed: u64, steps: usize) {
    let mut rng = Rng::new(seed);
    let limits = ScalingLimits {
        freeze_after: Duration::from_millis(100),
        idle_expiry: Duration::from_millis(500),
        crash_loop_after: 3,
        crash_loop_delay_min: Duration::from_millis(100),
        crash_loop_delay_max: Duration::from_secs(10),
    };
    let mut pool = Pool::new(limits);
    let mut world = World { now: Some(Instant::now()), ..World::default() };
    for _ in 0..steps {
        match rng.below(12) {
            0..=3 => world.arrive(&mut pool),
            4..=5 => world.end_start(&mut pool, &mut rng),
            6..=8 => world.end_call(&mut pool, &mut rng),
            9 => world.pass_time(&mut pool, &mut rng),
            10 => world.settle(&mut pool, &mut rng),
            _ => pool.evict().into_iter().for_each(|instance| world.stop(instance)),
        }
        world.begin_starts(&mut pool);
        world.check(&pool);
    }
    pool.retire().into_iter().for_each(|instance| world.stop(instance));
    for _ in 0..steps * 20 {
        world.end_start(&mut pool, &mut rng);
        world.settle(&mut pool, &mut rng);
        world.end_call(&mut pool, &mut rng);
        world.begin_starts(&mut pool);
        world.check(&pool);
    }
    assert_eq!(pool.waiting(), 0, "every call is answered");
    assert_eq!(pool.counts(), (0, 0, 0), "no instance is left after the retirement");
}

#[tokio::test(start_paused = true)]
async fn no_instance_and_no_call_is_lost_and_no_start_is_more_than_needed() {
    let seed = seed("pool simulation");
    for round in 0..200 {
        run(seed.wrapping_add(round), 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_starts_one_at_a_time_later_and_later() {
    let limits = ScalingLimits {
        freeze_after: Duration::from_millis(100),
        idle_expiry: Duration::from_secs(300),
        crash_loop_after: 3,
        crash_loop_delay_min: Duration::from_millis(100),
        crash_loop_delay_max: Duration::from_secs(1),
    };
    let mut pool = Pool::new(limits);
    (0..3).for_each(|call| pool.wait(call));
    assert_eq!(pool.wanted(), 3);
    assert_eq!((pool.start_failed(), pool.start_failed(), pool.start_delay()), (vec![0], vec![1], Duration::ZERO));
    (3..9).for_each(|call| pool.wait(call));
    assert_eq!(pool.wanted(), 6);
    assert_eq!(pool.start_failed(), vec![2], "the others have starts of their own");
    assert_eq!((pool.wanted(), pool.start_delay()), (0, Duration::from_millis(100)));
    (0..6).for_each(|_| drop(pool.start_failed()));
    assert_eq!(pool.waiting(), 0, "the last of them answers all");
    assert_eq!(pool.start_delay(), Duration::from_secs(1), "doubled up to the limit");
    pool.wait(9);
    pool.wait(10);
    assert_eq!((pool.wanted(), pool.wanted()), (1, 0), "one at a time");
    pool.served();
    assert_eq!((pool.wanted(), pool.start_delay()), (1, Duration::ZERO), "a call that ends well ends the loop");
}
