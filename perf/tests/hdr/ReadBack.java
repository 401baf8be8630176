import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;

/** Adds up one tag of an interval log and writes its percentile distribution in milliseconds, as the library does. */
public class ReadBack {
    public static void main(String[] arguments) throws Exception {
        HistogramLogReader reader = new HistogramLogReader(arguments[0]);
        Histogram total = new Histogram(3_600_000_000_000L, 3);
        EncodableHistogram interval;
        while ((interval = reader.nextIntervalHistogram()) != null) {
            if (arguments[1].equals(interval.getTag())) {
                total.add((Histogram) interval);
            }
        }
        total.outputPercentileDistribution(System.out, 1e6);
    }
}
