package sshcert

import (
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// Bounds of an RSA subject key, in bits of the modulus. The upper one bounds
// what a signature costs whoever checks it.
const (
	MinRSABits = 3072
	MaxRSABits = 8192
)

const (
	minExponent  = 65537
	maxExponent  = 1<<24 - 1
	smallPrimes  = 1000 // no prime below divides a modulus
	rocaPrimes   = 167  // the primes that give away keys of CVE-2017-15361
	fermatRounds = 100
)

// checkRSAWire holds an RSA key's wire form (RFC 4253 §6.6) to the bounds and to
// the tests for keys that can be factored.
func checkRSAWire(wire []byte) error {
	var w struct {
		Name string
		E, N *big.Int
	}
	if err := ssh.Unmarshal(wire, &w); err != nil || w.N.Sign() <= 0 {
		return unreadable()
	}
	const again = "ssh-keygen -t rsa -b 3072, or better ssh-keygen -t ed25519"
	switch bits := w.N.BitLen(); {
	case bits < MinRSABits:
		return fmt.Errorf("%w: an RSA key of %d bits, at least %d; %s", ErrKeyPolicy, bits, MinRSABits, again)
	case bits > MaxRSABits:
		return fmt.Errorf("%w: an RSA key of %d bits, at most %d; %s", ErrKeyPolicy, bits, MaxRSABits, again)
	case w.E.Cmp(big.NewInt(minExponent)) < 0 || w.E.Cmp(big.NewInt(maxExponent)) > 0 || w.E.Bit(0) == 0:
		return fmt.Errorf("%w: an RSA key with the public exponent %.20s, which has to be odd and from %d to %d; %s", ErrKeyPolicy, w.E.String(), minExponent, maxExponent, again)
	case hasSmallFactor(w.N), isROCA(w.N), hasCloseFactors(w.N):
		return fmt.Errorf("%w: an RSA key whose secret can be worked out from its public half; make another: %s", ErrKeyPolicy, again)
	}
	return nil
}

// oddPrimes returns the odd primes up to n.
func oddPrimes(n int) []int {
	var out []int
next:
	for p := 3; p <= n; p += 2 {
		for _, q := range out {
			if p%q == 0 {
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

// hasSmallFactor reports whether 2 or another prime below smallPrimes divides n.
func hasSmallFactor(n *big.Int) bool {
	if n.Bit(0) == 0 {
		return true
	}
	rest := new(big.Int).Mod(n, smallProduct) // its divisors among the primes are those of n
	return rest.GCD(nil, nil, rest, smallProduct).Cmp(big.NewInt(1)) != 0
}

// smallProduct is the product of the odd primes below smallPrimes. It is only read.
var smallProduct = func() *big.Int {
	product := big.NewInt(1)
	for _, p := range oddPrimes(smallPrimes) {
		product.Mul(product, big.NewInt(int64(p)))
	}
	return product
}()

// isROCA reports whether n looks like a modulus of the smart cards and tokens of
// CVE-2017-15361: modulo each small prime it is a power of 65537. One in about
// 2^28 other keys looks so, too.
func isROCA(n *big.Int) bool {
	rest := new(big.Int)
	for _, p := range oddPrimes(rocaPrimes) {
		want := int(rest.Mod(n, big.NewInt(int64(p))).Int64())
		power, found := 1, false
		for range p {
			found = found || power == want
			power = power * minExponent % p
		}
		if !found {
			return false
		}
	}
	return true
}

// hasCloseFactors reports whether Fermat's method factors n within fermatRounds:
// n = a*a - b*b for one of the smallest a that there can be (CVE-2022-26320). It
// multiplies once: the next square is 2a + 1 further. Whoever checks a
// certificate pays for this, and the authority does inside its write.
func hasCloseFactors(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	over := new(big.Int).Mul(a, a)
	if over.Cmp(n) == 0 {
		return true
	}
	over.Sub(over, n) // a*a - n, which is b*b in the end
	step := a.Add(a.Lsh(a, 1), big.NewInt(1))
	for range fermatRounds {
		over.Add(over, step)
		step.Add(step, big.NewInt(2))
		if !maybeSquare(over) {
			continue
		}
		root := new(big.Int).Sqrt(over)
		if root.Mul(root, root).Cmp(over) == 0 {
			return true
		}
	}
	return false
}

// squares says of some primes which remainders squares leave.
var squares = func() map[int64][]bool {
	list := make(map[int64][]bool)
	for _, prime := range oddPrimes(squarePrimes) {
		p := int64(prime)
		list[p] = make([]bool, p)
		for i := range p {
			list[p][i*i%p] = true
		}
	}
	return list
}()

const (
	squarePrimes  = 47                 // the largest such prime
	squareProduct = 307444891294245705 // of all of them
)

// maybeSquare is true for every square and for about one in 15,000 other
// numbers: what is a square is one modulo 8 and modulo each prime.
func maybeSquare(n *big.Int) bool {
	if low := n.Bit(0) | n.Bit(1)<<1 | n.Bit(2)<<2; low != 0 && low != 1 && low != 4 {
		return false
	}
	rest := new(big.Int).Mod(n, big.NewInt(squareProduct)).Int64()
	for p, square := range squares {
		if !square[rest%p] {
			return false
		}
	}
	return true
}
