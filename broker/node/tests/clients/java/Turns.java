import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** Lets the members of groups poll, one after the other. */
final class Turns {
    /** Whoever polls. */
    interface Member extends AutoCloseable {
        void poll();

        @Override
        void close();
    }

    /** Until it is done; a complaint if it never is. */
    static String drive(BooleanSupplier done, List<? extends Member> members) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!done.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                return "not done in 30 s: " + members;
            }
            members.forEach(Member::poll);
        }
        return null;
    }

    /** For a while: what should not come would come now. */
    static void linger(long millis, List<? extends Member> members) {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        drive(() -> System.nanoTime() > end, members);
    }

    private Turns() {}
}
