package demo

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// quoteSubject, followed by the symbol, is where quotes are published.
const quoteSubject = "events.quotes."

// quote is the payload of a quote event.
type quote struct {
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
	// Change is that since the producers started, in percent.
	Change float64   `json:"change"`
	Volume int64     `json:"volume"`
	Time   time.Time `json:"time"`
}

// instrument is one symbol on its random walk.
type instrument struct {
	symbol     string
	open       float64 // the price at the start
	volatility float64 // standard deviation of one step, relative to the price
	pull       float64 // the part of the way back to the start that a step takes
	price      float64
	volume     int64
}

// Symbols are made of every beginning with every ending, in this order.
const (
	symbolBeginnings = "ACM BOL CRU DUN ECH FLU GLO HAL IRI JAD KIT LUM MOR NOV ORB PYR QUA RUN SOL TEM"
	symbolEndings    = "A E I K N O R S T X"
)

// The cheapest and the dearest instrument at the start.
const (
	leastOpen = 8.0
	mostOpen  = 400.0
)

// newInstruments returns 200 made-up companies. The symbols are always the same;
// what they are worth, and how much they move, is drawn. They move as much in a
// minute whatever the rate of quotes: the more steps, the smaller they are.
func newInstruments(rng *rand.Rand, quotesPerSecond int) []*instrument {
	perStep := DefaultQuotesPerSecond / float64(quotesPerSecond)
	var list []*instrument
	for _, beginning := range strings.Fields(symbolBeginnings) {
		for _, ending := range strings.Fields(symbolEndings) {
			i := newInstrument(rng, beginning+ending)
			i.volatility *= math.Sqrt(perStep)
			i.pull *= perStep
			list = append(list, i)
		}
	}
	return list
}

// newInstrument draws a price, cheap ones as often as dear ones, and a volatility
// that is the greater the cheaper the instrument is.
func newInstrument(rng *rand.Rand, symbol string) *instrument {
	open := cents(leastOpen * math.Pow(mostOpen/leastOpen, rng.Float64()))
	return &instrument{
		symbol:     symbol,
		open:       open,
		price:      open,
		volatility: 0.0135 / math.Sqrt(open) * (0.8 + 0.4*rng.Float64()),
		pull:       0.002,
	}
}

// tick makes the instrument's next step. The walk is drawn back to where it
// began, the more the further it is away, so that a demo left running for days
// still looks like one.
func (i *instrument) tick(rng *rand.Rand, now time.Time) quote {
	away := math.Log(i.price / i.open)
	step := rng.NormFloat64()*i.volatility - away*i.pull
	i.price = max(i.price*math.Exp(step), 0.01)
	i.volume += 100 * (1 + rng.Int64N(40))
	return quote{
		Symbol: i.symbol,
		Price:  cents(i.price),
		Change: cents(100 * (i.price/i.open - 1)),
		Volume: i.volume,
		Time:   now.UTC().Truncate(time.Millisecond),
	}
}

func cents(x float64) float64 { return math.Round(x*100) / 100 }

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs of finite numbers
	}
	return data
}
