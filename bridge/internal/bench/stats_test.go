package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i // from 100 down to 1
	}
	for _, c := range []struct {
		values []int
		p      float64
		want   int
	}{
		{nil, 50, 0},
		{[]int{7}, 0, 7},
		{[]int{7}, 50, 7},
		{[]int{7}, 100, 7},
		{[]int{2, 1}, 50, 1},
		{[]int{3, 1, 2}, 50, 2},
		{[]int{3, 1, 2}, 99, 3},
		{hundred, 0, 1},
		{hundred, 1, 1},
		{hundred, 50, 50},
		{hundred, 98.5, 99},
		{hundred, 99, 99},
		{hundred, 100, 100},
	} {
		require.Equal(t, c.want, percentile(c.values, c.p), "p%v of %v", c.p, c.values)
	}
	require.Equal(t, 100, hundred[0], "the values stay in their order")
	require.Equal(t, time.Second, percentile([]time.Duration{time.Minute, time.Second}, 50))
}

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{4}, spread{4, 4, 4}},
		{[]float64{4, 1}, spread{1, 2.5, 4}},
		{[]float64{9, 1, 4}, spread{1, 4, 9}},
		{[]float64{9, 1, 4, 6}, spread{1, 5, 9}},
	} {
		require.Equal(t, c.want, spreadOf(c.values), "%v", c.values)
	}
	values := []float64{3, 1, 2}
	spreadOf(values)
	require.Equal(t, []float64{3, 1, 2}, values, "the values stay in their order")
}
