// Single endpoint handles both immediate and background processing
const response = await fetch('/1/feature-x/true', { method: 'POST' });
const result = await response.json();

if (result.processedImmediately) {
  // Feature flag updated immediately
  console.log('Feature flag updated:', result.featureFlag);
} else {
  // Background processing started
  console.log('Background job started:', result.jobId);
  pollJobStatus(result.jobId);
}

// Poll for status (only needed for background jobs)
function pollJobStatus(jobId) {
  const checkStatus = async () => {
    const statusResponse = await fetch(`/job-status/${jobId}`);
    const job = await statusResponse.json();

    if (job.status === 'COMPLETED') {
      console.log('Job completed successfully!');
    } else if (job.status === 'FAILED') {
      console.error('Job failed:', job.errorMessage);
      if (job.retryCount < job.maxRetries) {
        console.log('Job will be automatically retried...');
      } else {
        console.log('Job permanently failed after', job.retryCount, 'retries');
      }
    } else if (job.status === 'RETRYING') {
      console.log(
        'Job failed but is being retried. Attempt:',
        job.retryCount + '/' + job.maxRetries
      );
      setTimeout(checkStatus, 2000);
    } else {
      // Still in progress, check again
      setTimeout(checkStatus, 2000); // Check every 2 seconds
    }
  };
  checkStatus();
}
