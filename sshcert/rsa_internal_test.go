package sshcert

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// fermat is the method as docs/formats.md has it, with nothing left out.
func fermat(n *big.Int) bool {
	root := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(root, root).Cmp(n) == 0 {
		return true
	}
	for i := range int64(fermatRounds) {
		a := new(big.Int).Add(root, big.NewInt(i+1))
		rest := new(big.Int).Sub(new(big.Int).Mul(a, a), n)
		b := new(big.Int).Sqrt(rest)
		if b.Mul(b, b).Cmp(rest) == 0 {
			return true
		}
	}
	return false
}

// The ledger is replayed with the policy, so the quick way has to decide each
// key as the plain one does: also where the factors are just close enough, or
// just not.
func TestCloseFactorsAreThoseOfThePlainMethod(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) // the same in each run
	number := func(bits int) *big.Int {
		n := big.NewInt(1)
		for n.BitLen() < bits {
			n.Add(n.Lsh(n, 32), big.NewInt(int64(random.Uint32())))
		}
		return n
	}
	found := make(map[bool]int)
	for range 20 {
		a := number(1536)
		for _, distance := range []int64{0, 1, 2, 50, 98, 99, 100, 101, 102, 200} {
			// n = a*a - b*b, whose root lies about b*b/2a below a.
			b := new(big.Int).Sqrt(new(big.Int).Mul(a, big.NewInt(2*distance)))
			n := new(big.Int).Sub(new(big.Int).Mul(a, a), b.Mul(b, b))
			want := fermat(n)
			if got := hasCloseFactors(n); got != want {
				t.Errorf("distance %d: %v, want %v: %s", distance, got, want, n)
			}
			found[want]++
		}
		if n := number(3072); hasCloseFactors(n) != fermat(n) {
			t.Errorf("%v, want %v: %s", hasCloseFactors(n), fermat(n), n)
		}
		if !maybeSquare(new(big.Int).Mul(a, a)) {
			t.Errorf("the square of %s is none", a)
		}
	}
	if found[true] == 0 || found[false] == 0 {
		t.Errorf("only one outcome was tried: %v", found)
	}
	product := int64(1)
	for p := range squares {
		product *= p
	}
	if product != squareProduct {
		t.Errorf("the primes' product is %d", product)
	}
}
