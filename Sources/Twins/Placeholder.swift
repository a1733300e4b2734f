// Twins
