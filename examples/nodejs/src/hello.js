// Greets whoever the event names.
const greeting = process.env.GREETING ?? "Hello";

exports.handler = async (event, context) => {
  const name = event.name ?? "world";
  console.log(`greeting ${name}; ${context.getRemainingTimeInMillis()} ms are left`);
  return { message: `${greeting}, ${name}!`, function: context.functionName };
};
