//! Lists that stay short on most partitions.

/// So long a list grows by one at a time.
const SHORT: usize = 4;

/// Appends `item`. A list that stays short takes no more memory than its items: of ten thousand partitions most have one
/// segment, one epoch and one producer.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() && list.len() < SHORT {
        list.reserve_exact(1);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_takes_what_it_holds() {
        let mut list: Vec<[u8; 100]> = Vec::new();
        for n in 1..=SHORT {
            push(&mut list, [0; 100]);
            assert_eq!((list.len(), list.capacity()), (n, n));
        }
        push(&mut list, [0; 100]);
        assert!(list.capacity() > SHORT + 1, "a long one grows by more");
    }
}
