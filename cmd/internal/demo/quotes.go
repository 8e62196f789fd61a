package demo

import (
	"encoding/json"
	"math"
	"math/rand/v2"
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
	price      float64
	volume     int64
}

// newInstruments returns a dozen of made-up companies.
func newInstruments() []*instrument {
	list := []*instrument{
		{symbol: "ACME", open: 182.40, volatility: 0.0011},
		{symbol: "BOLT", open: 47.15, volatility: 0.0022},
		{symbol: "CRUX", open: 311.90, volatility: 0.0009},
		{symbol: "DUNE", open: 28.64, volatility: 0.0030},
		{symbol: "ECHO", open: 96.08, volatility: 0.0014},
		{symbol: "FLUX", open: 64.77, volatility: 0.0019},
		{symbol: "GLOW", open: 12.93, volatility: 0.0038},
		{symbol: "HALO", open: 154.20, volatility: 0.0012},
		{symbol: "IRIS", open: 73.31, volatility: 0.0016},
		{symbol: "JADE", open: 208.55, volatility: 0.0010},
		{symbol: "KITE", open: 35.02, volatility: 0.0026},
		{symbol: "LUMA", open: 119.86, volatility: 0.0013},
	}
	for _, i := range list {
		i.price = i.open
	}
	return list
}

// tick makes the instrument's next step. The walk is drawn back to where it
// began, the more the further it is away, so that a demo left running for days
// still looks like one.
func (i *instrument) tick(rng *rand.Rand, now time.Time) quote {
	away := math.Log(i.price / i.open)
	step := rng.NormFloat64()*i.volatility - away*0.002
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
