use super::*;

#[test]
fn published_bytes_stay_while_the_writer_goes_on() {
    let memory = Memory::new(1 << 20);
    let mut b = memory.alloc(4096).unwrap();
    b.append(b"hello");
    let hello = b.slice(..);
    b.append(b" world");
    assert_eq!(&*hello, b"hello");
    assert_eq!(b.filled(), b"hello world");
    drop(b);
    assert_eq!(&*hello.slice(1..3), b"el");
    assert_eq!(memory.used(), 4096);
    drop(hello);
    assert_eq!(memory.used(), 0);
}

#[test]
fn the_budget_is_kept_except_beyond() {
    let memory = Memory::new(8192);
    let _a = memory.alloc(4096).unwrap();
    assert_eq!(memory.alloc(8192).err(), Some(OverBudget));
    let _b = memory.alloc_beyond(8192);
    assert_eq!(memory.used(), 12288);
}

/// A frame of an odd size must not cost fresh pages each time.
#[test]
fn blocks_of_every_size_come_back_and_the_fullest_class_makes_room() {
    let memory = Memory::new(256 << 10);
    let small: Vec<Buffer> = (0..20).map(|_| memory.alloc(4096).unwrap()).collect();
    drop(small);
    assert_eq!(memory.0.pooled.get(), 20 * 4096);
    let odd = memory.alloc(100_000).unwrap();
    assert_eq!((odd.capacity(), memory.used()), (112 << 10, 112 << 10));
    let at = odd.block.at;
    drop(odd);
    assert_eq!(memory.0.pooled.get(), (112 << 10) + 4 * 4096, "half of the budget");
    assert_eq!(memory.alloc(112 << 10).unwrap().block.at, at);
    drop((memory.alloc(100_000).unwrap(), memory.alloc(100_000).unwrap()));
    assert!(memory.0.pooled.get() <= 128 << 10);
}

#[test]
#[should_panic(expected = "published bytes never change")]
fn a_published_byte_cannot_be_patched() {
    let mut b = Memory::new(8192).alloc(4096).unwrap();
    b.append(b"hello");
    let _s = b.slice(..);
    b.patch(0, b"j");
}

/// What the kernel does: it writes through a pointer while the buffer is moved about, and slices of it are read.
#[test]
fn the_spare_part_is_written_from_outside_while_slices_are_read() {
    let memory = Memory::new(1 << 20);
    let mut b = memory.alloc(8192).unwrap();
    b.append(b"head");
    let head = b.slice(..);
    let at = b.spare_ptr();
    let keep = Box::new(b);
    assert_eq!(&*head, b"head");
    for i in 0..100u8 {
        // SAFETY: within the spare part, which nobody else touches.
        unsafe { at.add(usize::from(i)).write(i) };
    }
    let mut b = *keep;
    b.advance(100);
    let tail = b.slice(4..);
    b.append(&tail[90..]);
    b.append(&head);
    b.patch(104, b"x");
    assert_eq!(b.len(), 118);
    drop(memory);
    let (all, head) = (b.freeze(), head.slice(1..));
    assert!(tail.iter().copied().eq(0..100));
    assert_eq!(&all[100..], b"\x60\x61\x62\x63x\x5b\x5c\x5d\x5e\x5f\x60\x61\x62\x63head");
    assert_eq!((&*head, all.is_aligned()), (&b"ead"[..], false));
}

#[test]
fn other_bytes_are_slices_too() {
    let owned = Slice::from(vec![1, 2, 3]);
    let part = owned.slice(1..);
    drop(owned);
    let both = [part, Slice::from_static(b"abc").slice(..=1), Slice::from(Vec::new())];
    assert_eq!(both.map(|s| s.to_vec()), [vec![2, 3], b"ab".to_vec(), vec![]]);
    let none = Buffer::empty();
    assert_eq!((none.capacity(), none.filled().len(), none.slice(..).len()), (0, 0, 0));
}

#[test]
fn padding_is_zeros_also_in_a_reused_block() {
    let memory = Memory::new(1 << 20);
    let mut b = memory.alloc(4096).unwrap();
    b.append(&[7; 4096]);
    drop(b);
    let mut b = memory.alloc(4096).unwrap();
    b.append(&[1]);
    b.pad_to(8);
    assert_eq!(b.filled(), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert!((b.slice(..).at as usize).is_multiple_of(ALIGN));
}

fn processor_time() -> std::time::Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    let nanos = u32::try_from(t.tv_nsec).unwrap();
    std::time::Duration::new(u64::try_from(t.tv_sec).unwrap(), nanos)
}

#[test]
fn room_is_made_without_a_look_at_every_block() {
    let memory = Memory::new(1 << 30);
    let small: Vec<Buffer> = (0..65_536).map(|_| memory.alloc(4096).unwrap()).collect();
    drop(small);
    assert_eq!(memory.0.pooled.get(), 256 << 20);
    let large: Vec<Buffer> = (0..900).map(|_| memory.alloc(1 << 20).unwrap()).collect();
    let mut large = large.into_iter();
    let begun = processor_time();
    drop(large.next());
    let took = processor_time() - begun;
    // Blocks of 4 KiB had to go for it. A look at each block for each of them would be two thousand million looks: tens of
    // seconds of this thread's own processor time, whatever else the machine does.
    let freed = 65_536 - memory.0.pools.borrow()[0].len();
    assert!(freed > 30_000, "{freed}");
    assert!(took < std::time::Duration::from_secs(2), "{took:?} for {freed} blocks");
}
