import Glibc

func logarithm(_ x: Double) -> Double { Glibc.log(x) }

func cosine(_ x: Double) -> Double { Glibc.cos(x) }

func sine(_ x: Double) -> Double { Glibc.sin(x) }

func exponential(_ x: Double) -> Double { Glibc.exp(x) }
